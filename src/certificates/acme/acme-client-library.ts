import { createPrivateKey } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Library from 'acme-client';
import type { Client } from 'acme-client';
import { AcmeFailure, failureFrom, type Problem } from './failure.ts';
import type {
  AcmeAccount,
  AcmeClient,
  Authorization,
  Challenge,
  ExternalAccount,
  Identifier,
  Order,
  OrderRequest,
} from './port.ts';
import { ask, parseObject, timeOf, waitMs, type Answer, type Requester } from './authority-requests.ts';

const FIRST_POLL_MS = 250;
const POLL_GROWTH = 1.5;
const LONGEST_POLL_MS = 5000;
const BAD_NONCE = 'urn:ietf:params:acme:error:badNonce';
/**
 * How often a step is repeated when the authority refused its nonces. The library itself sends each request six times.
 */
const NONCE_ROUNDS = 5;
const NONCE_PAUSE_MS = 200;
/** Text of the library's error when it gives up because of a nonce. */
const NONCES_REFUSED = 'towpath: nonce refused';
/**
 * Time limit of a validation. Authorities check from several places and repeat; Let's Encrypt needs seconds, others a
 * minute.
 */
const VERDICT_MS = 180_000;

type LibraryOrder = Awaited<ReturnType<Client['getOrder']>>;
type LibraryAuthorization = Awaited<ReturnType<Client['getAuthorizations']>>[number];

/** Options of {@link openLibraryClient} besides the account. */
export interface LibraryOptions {
  readonly request: Requester;
  readonly directoryUrl: string;
}

/**
 * Opens a client that uses the library acme-client. The library is loaded only here, because a relay seldom needs it.
 */
export async function openLibraryClient(
  { request, directoryUrl }: LibraryOptions,
  account: AcmeAccount,
  email: string | null,
  eab: ExternalAccount | null,
): Promise<AcmeClient> {
  const library = await import('acme-client');
  useRequester(library, request);
  const client = new library.Client({
    directoryUrl,
    accountKey: account.keyPem,
    ...(account.accountUrl === null ? {} : { accountUrl: account.accountUrl }),
    ...(eab === null ? {} : { externalAccountBinding: { kid: eab.keyId, hmacKey: eab.hmacKey } }),
  });
  return new LibraryClient(library, client, email);
}

/**
 * Makes the library use our own request function. Its own retry would sleep for as long as the authority says, even
 * hours, and turns a refused connection into a TypeError.
 */
function useRequester(library: typeof Library, request: Requester): void {
  library.axios.defaults.adapter = async (config) => {
    const headers: Record<string, string> = { 'User-Agent': 'towpath' };
    for (const [name, value] of Object.entries(config.headers.toJSON())) {
      if (name.toLowerCase() !== 'user-agent') headers[name] = String(value);
    }
    const body: unknown = config.data;
    const answer = await ask(request, config.url ?? '', {
      method: (config.method ?? 'get').toUpperCase(),
      headers,
      ...(typeof body === 'string' ? { body } : {}),
    });
    const isBadNonce = refuse(answer);
    return {
      data: isBadNonce ? JSON.stringify({ type: BAD_NONCE, detail: NONCES_REFUSED }) : answer.text,
      status: answer.status,
      statusText: '',
      headers: Object.fromEntries(answer.headers),
      config,
    };
  };
}

/** Throws for every refusal except of a nonce. Returns true for that one: the library retries with another nonce. */
function refuse(answer: Answer): boolean {
  const { status, text, headers } = answer;
  if (status < 400) return false;
  const now = Date.now();
  const wait = waitMs(headers, now);
  const retryAt = wait === null ? null : now + wait;
  const aheadMs = (timeOf(headers) ?? now) - now;
  const problem = problemIn(parseObject(text));
  if (problem?.type === BAD_NONCE) return true;
  if (problem !== null) throw failureFrom(problem, { name: '', challenge: '', retryAt, aheadMs });
  if (status === 429) throw new AcmeFailure('rate-limit', 'the authority asks for fewer requests', { retryAt });
  throw new AcmeFailure('unreachable', `the authority answers ${status}`, { retryAt });
}

/**
 * Repeats a step when the authority refused its nonces. Such a refusal changes nothing at the authority, so every step
 * can be repeated (RFC 8555 §6.5).
 */
async function withNonces<T>(step: () => Promise<T>): Promise<T> {
  for (let round = 1; ; round++) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof Error) || error.message !== NONCES_REFUSED) throw error;
      if (round === NONCE_ROUNDS) {
        throw new AcmeFailure('unreachable', 'the authority refused every nonce that it had issued', {
          hint: 'The authority may have several servers that do not share nonces, or a proxy caches its answers. The relay tries again.',
        });
      }
      await sleep(NONCE_PAUSE_MS * round);
    }
  }
}

function problemIn(value: unknown): Problem | null {
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') return null;
  const detail = 'detail' in value && typeof value.detail === 'string' ? value.detail : '';
  return { type: value.type, detail };
}

class LibraryClient implements AcmeClient {
  readonly #library: typeof Library;
  readonly #client: Client;
  readonly #email: string | null;

  constructor(library: typeof Library, client: Client, email: string | null) {
    this.#library = library;
    this.#client = client;
    this.#email = email;
  }

  async register(): Promise<string> {
    try {
      const contact = this.#email === null ? {} : { contact: [`mailto:${this.#email}`] };
      await withNonces(() => this.#client.createAccount({ termsOfServiceAgreed: true, ...contact }));
    } catch (error) {
      // For an existing account the library learns the URL, and then fails because there is nothing to update.
      const url = this.#accountUrl();
      if (url !== null) return url;
      throw error;
    }
    return this.#client.getAccountUrl();
  }

  async order({ identifiers, profile, replaces }: OrderRequest): Promise<Order> {
    const payload = {
      identifiers: identifiers.map(({ type, value }) => ({ type, value })),
      ...(profile === null ? {} : { profile }),
      ...(replaces === null ? {} : { replaces }),
    };
    return this.#read(await withNonces(() => this.#client.createOrder(payload)));
  }

  async resume(orderUrl: string): Promise<Order | null> {
    try {
      const order = await this.#read(await this.#fetchOrder(orderUrl));
      return order.status === 'invalid' ? null : order;
    } catch (error) {
      if (error instanceof AcmeFailure && error.kind === 'refused') return null;
      throw error;
    }
  }

  async prove(authorization: Authorization, challenge: Challenge): Promise<void> {
    const { url, identifier } = authorization;
    await withNonces(() => this.#client.completeChallenge({ ...challenge, type: 'http-01', status: 'pending' }));
    await this.#until(`the challenge for ${identifier.value}`, async () => {
      const [now] = await this.#authorizations([url]);
      if (now === undefined || now.status === 'pending') return null;
      if (now.status === 'valid') return now;
      throw failureOf(now, challenge.type);
    });
  }

  async finish(orderUrl: string, names: readonly string[], keyPem: string): Promise<string> {
    let order = await this.#fetchOrder(orderUrl);
    if (order.status === 'pending' || order.status === 'ready') {
      // The library cannot read SEC1, the older form.
      const pkcs8 = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'pem' }).toString();
      const [, csr] = await this.#library.crypto.createCsr({ altNames: [...names] }, pkcs8);
      const ready = order;
      order = await withNonces(() => this.#client.finalizeOrder(ready, csr));
    }
    if (order.status !== 'valid') {
      order = await this.#until('the certificate', async () => {
        const now = await this.#fetchOrder(orderUrl);
        if (now.status === 'valid') return now;
        if (now.status === 'invalid') throw invalidOrder(now);
        return null;
      });
    }
    const issued = order;
    return withNonces(() => this.#client.getCertificate(issued));
  }

  #accountUrl(): string | null {
    try {
      return this.#client.getAccountUrl();
    } catch {
      return null;
    }
  }

  #fetchOrder(url: string): Promise<LibraryOrder> {
    return withNonces(() => this.#client.getOrder({ ...NO_ORDER, url }));
  }

  #authorizations(urls: string[]): Promise<LibraryAuthorization[]> {
    return withNonces(() => this.#client.getAuthorizations({ ...NO_ORDER, authorizations: urls }));
  }

  async #read(order: LibraryOrder): Promise<Order> {
    const open = order.status === 'pending' ? await this.#authorizations(order.authorizations) : [];
    return {
      url: order.url,
      status: order.status,
      authorizations: await Promise.all(open.map((authorization) => this.#readAuthorization(authorization))),
    };
  }

  async #readAuthorization({ url, identifier, status, challenges }: LibraryAuthorization): Promise<Authorization> {
    const known = challenges.filter(({ type }) => CHALLENGES.has(type));
    return {
      url,
      identifier: readIdentifier(identifier),
      isValid: status === 'valid',
      challenges: await Promise.all(
        known.map(async (challenge) => ({
          type: challenge.type,
          url: challenge.url,
          token: challenge.token,
          answer: await this.#client.getChallengeKeyAuthorization(challenge),
        })),
      ),
    };
  }

  async #until<T>(what: string, look: () => Promise<T | null>): Promise<T> {
    const startedAt = performance.now();
    for (let wait = FIRST_POLL_MS; ; wait = Math.min(wait * POLL_GROWTH, LONGEST_POLL_MS)) {
      const found = await look();
      if (found !== null) return found;
      if (performance.now() - startedAt > VERDICT_MS) {
        throw new AcmeFailure('unreachable', `the authority did not decide on ${what} within ${VERDICT_MS / 1000} s`);
      }
      await sleep(wait);
    }
  }
}

const CHALLENGES: ReadonlySet<string> = new Set(['http-01', 'tls-alpn-01', 'dns-01']);
/** The library requires a whole order here, but reads only one field. */
const NO_ORDER: LibraryOrder = { url: '', status: 'pending', identifiers: [], authorizations: [], finalize: '' };

function readIdentifier({ type, value }: { readonly type: string; readonly value: string }): Identifier {
  return { type: type === 'ip' ? 'ip' : 'dns', value };
}

function failureOf({ identifier, status, challenges }: LibraryAuthorization, challenge: string): AcmeFailure {
  const problem = challenges.map(({ error }) => problemIn(error)).find((found) => found !== null);
  const context = { name: identifier.value, challenge, retryAt: null };
  return problem === undefined
    ? new AcmeFailure('challenge', `the challenge for ${identifier.value} is ${status}`)
    : failureFrom(problem, context);
}

function invalidOrder(order: LibraryOrder): AcmeFailure {
  const problem = problemIn(order.error);
  return problem === null
    ? new AcmeFailure('refused', 'the authority ended the order without a reason')
    : failureFrom(problem, { name: '', challenge: '', retryAt: null });
}
