import type { ActionAnswer, ActionBodies, ActionName, ErrorAnswer, StatusAnswer } from '../api/shapes.ts';
import { API_PREFIX } from '../api/shapes.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { requestHttp, type HttpAnswer } from '../transport/http/request.ts';

/** How to reach the admin listener of a relay. */
export interface AdminTarget {
  /** `http:` or `https:` with host and port, without a path. */
  readonly url: string;
  /** A Unix socket instead of host and port. */
  readonly socketPath?: string;
  /** Null when the listener needs no token. */
  readonly token: string | null;
  /**
   * An authority to trust in addition to the usual ones, PEM. For a self-signed certificate, the certificate itself.
   */
  readonly caPem?: string;
}

const TIMEOUT_MS = 5000;
const MOST_BYTES = 64 * 1024 * 1024;

/** A client of the admin listener of a relay. Every method rejects with a TowpathError that says what is wrong. */
export class AdminClient {
  readonly #target: AdminTarget;
  readonly #timeoutMs: number;

  constructor(target: AdminTarget, timeoutMs: number = TIMEOUT_MS) {
    this.#target = target;
    this.#timeoutMs = timeoutMs;
  }

  /** The URL or the path of the socket, for messages. */
  get place(): string {
    return this.#target.socketPath ?? this.#target.url;
  }

  /** Reads the state of the relay. */
  async status(): Promise<StatusAnswer> {
    return (await this.read('status')) as StatusAnswer;
  }

  /** Reads a path below `/api/v1/`, with its query. `api/shapes.ts` has the shapes of the answers. */
  async read(path: string): Promise<unknown> {
    return parsed(await this.get(`${API_PREFIX}${path}`), this.place);
  }

  /** Runs an action. */
  async act<Name extends ActionName>(name: Name, body: ActionBodies[Name]): Promise<ActionAnswer> {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await this.#request('POST', `${API_PREFIX}actions/${name}`, headers, JSON.stringify(body));
    return parsed(answer, this.place) as ActionAnswer;
  }

  /**
   * Sends a GET for any path and returns the answer, whatever its status. Rejects when there is no answer and for a
   * wrong token.
   */
  get(path: string): Promise<HttpAnswer> {
    return this.#request('GET', path, {}, null);
  }

  async #request(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string | null,
  ): Promise<HttpAnswer> {
    const { url, token, caPem, socketPath } = this.#target;
    const answer = await requestHttp({
      url: `${url}${path}`,
      method,
      headers: { ...headers, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) },
      body,
      timeoutMs: this.#timeoutMs,
      limitBytes: MOST_BYTES,
      ...(socketPath === undefined ? {} : { socketPath }),
      caPem,
      environment: null,
    }).catch((error: unknown) => {
      throw new TowpathError(
        'TOWPATH_ADMIN_UNREACHABLE',
        `No answer from the relay at ${this.place}: ${errorMessage(error)}`,
        {
          hint: 'Does it run, and with this configuration?',
          cause: error,
        },
      );
    });
    if (answer.status !== 401) return answer;
    const problem = token === null ? 'needs a token' : 'does not accept this token';
    throw new TowpathError('TOWPATH_ADMIN_TOKEN', `the relay at ${this.place} ${problem}`, {
      hint: 'Its token is the one of admin.tokenFile or admin.token in its configuration.',
    });
  }
}

function parsed({ status, body }: HttpAnswer, place: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new TowpathError('TOWPATH_ADMIN_ANSWER', `what answers at ${place} is not the admin listener of a relay`, {
      hint: 'Another program may use the address, or an older version of towpath, which has no API.',
    });
  }
  if (status >= 200 && status < 300) return value;
  const { error } = value as Partial<ErrorAnswer>;
  const message = printable(error?.message ?? `the relay answered ${status}`);
  const hint = error?.hint ?? null;
  throw new TowpathError('TOWPATH_ADMIN_REFUSED', message, hint === null ? {} : { hint: printable(hint) });
}
