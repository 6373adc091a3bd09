import { errorMessage, TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { requestHttp, type HttpAnswer, type HttpRequest } from '../transport/http/request.ts';

/** What authorizes a change of the policy file. */
export type PolicyCredential =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'oauth'; readonly clientId: string; readonly clientSecret: string };

/** Where the policy file is. */
export interface PolicyPlace {
  /** `https://api.tailscale.com`, or that of a test. */
  readonly apiUrl: string;
  /** `-` is the tailnet of the credential. */
  readonly tailnet: string;
  readonly timeoutMs: number;
}

/** A policy file, and the tag by which the API knows this version. */
export interface PolicyFile {
  readonly text: string;
  readonly etag: string;
}

const POLICY_BYTES = 4 * 1024 * 1024;
const SHOWN_CHARACTERS = 300;
const HUJSON = 'application/hujson';

/** The policy file of one tailnet, through the API. Every failure is a `TOWPATH_POLICY_API` without the credential in it. */
export class TailnetPolicy {
  readonly #place: PolicyPlace;
  readonly #token: string;

  private constructor(place: PolicyPlace, token: string) {
    this.#place = place;
    this.#token = token;
  }

  /** Opens the policy file with an API key, or with a token that it gets for an OAuth client. */
  static async open(place: PolicyPlace, credential: PolicyCredential): Promise<TailnetPolicy> {
    if (credential.kind === 'key') return new TailnetPolicy(place, credential.key);
    const { clientId, clientSecret } = credential;
    const form = { client_id: clientId, client_secret: clientSecret, grant_type: 'client_credentials' };
    const answer = await ask(place, {
      url: `${place.apiUrl}/api/v2/oauth/token`,
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: new URLSearchParams(form).toString(),
    });
    const token = tokenIn(answer.body.toString('utf8'));
    if (answer.status === 200 && token !== null) return new TailnetPolicy(place, token);
    throw refused('the OAuth client was not accepted', answer);
  }

  /** Reads the policy file and its version. Rejects when the API gives only a part of it. */
  async read(): Promise<PolicyFile> {
    const answer = await this.#ask('GET', { Accept: HUJSON }, null);
    if (answer.status !== 200) throw refused('the policy file cannot be read', answer);
    const etag = answer.headers.get('etag');
    if (etag !== undefined && answer.isWhole) return { text: answer.body.toString('utf8'), etag };
    throw new TowpathError('TOWPATH_POLICY_API', 'the API gave no version (ETag) or only a part of the policy file');
  }

  /** Writes `text` instead of the version `etag`. Rejects when the file has changed meanwhile. */
  async write(text: string, etag: string): Promise<void> {
    const headers = { Accept: HUJSON, 'Content-Type': HUJSON, 'If-Match': etag };
    const answer = await this.#ask('POST', headers, text);
    if (answer.status === 200) return;
    if (answer.status !== 412) throw refused('the policy file was not changed', answer);
    throw new TowpathError('TOWPATH_POLICY_API', 'the policy file has changed meanwhile; it was not changed', {
      hint: 'Run the command again.',
    });
  }

  #ask(method: string, headers: Readonly<Record<string, string>>, body: string | null): Promise<HttpAnswer> {
    const url = `${this.#place.apiUrl}/api/v2/tailnet/${encodeURIComponent(this.#place.tailnet)}/acl`;
    return ask(this.#place, { url, method, headers: { ...headers, Authorization: `Bearer ${this.#token}` }, body });
  }
}

async function ask(place: PolicyPlace, request: Omit<HttpRequest, 'timeoutMs' | 'limitBytes'>): Promise<HttpAnswer> {
  try {
    return await requestHttp({ ...request, timeoutMs: place.timeoutMs, limitBytes: POLICY_BYTES });
  } catch (error) {
    throw new TowpathError('TOWPATH_POLICY_API', `${place.apiUrl}: ${errorMessage(error)}`, { cause: error });
  }
}

function refused(what: string, answer: HttpAnswer): TowpathError {
  const said = printable(answer.body.toString('utf8').slice(0, SHOWN_CHARACTERS));
  const hint = 'The API key needs the rights of an admin; an OAuth client needs the scope "Policy file: Write".';
  return new TowpathError('TOWPATH_POLICY_API', `${what}: status ${answer.status}: ${said}`, { hint });
}

function tokenIn(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    const token = typeof value === 'object' && value !== null && 'access_token' in value ? value.access_token : null;
    return typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? token : null;
  } catch {
    return null;
  }
}
