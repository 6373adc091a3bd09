import { errorMessage } from '../base/errors.ts';
import type { Environment } from '../transport/http/proxy-choice.ts';
import { requestHttp } from '../transport/http/request.ts';
import type { NoiseRequest } from './control-connection.ts';
import type { PingRequest } from './map-response.ts';
import { answerNodeRequest } from './node-request.ts';

const TIMEOUT_MS = 10_000;
const LIMIT_BYTES = 4096;
/** Pings that wait while another one is answered. */
const MOST_WAITING = 8;
/** The types of pings that an administrator can ask for (addendum §6). */
const TYPES: ReadonlySet<string> = new Set(['TSMP', 'disco', 'ICMP', 'peerapi']);
const NO_TUNNEL = 'this node is a peer relay: it has no tunnel and sends no pings';
const C2N = 'c2n';

/** Parts that an answer to a ping needs. */
interface PingParts {
  readonly caPem: string | null;
  readonly environment: Environment;
  /** Called with the reason when a ping is not answered. */
  readonly ignored: (why: string) => void;
}

/** The answer to one ping, not sent yet. */
interface Answer {
  readonly method: 'HEAD' | 'POST';
  readonly body: string | Buffer | null;
}

/**
 * Answers the pings of a control server (addendum §6, E2): `HEAD URL` for one without types. One with types gets a JSON
 * result for each that says that this node cannot ping. A request to the node itself (c2n, see `node-request.ts`) is
 * answered over the control connection alone. One with the URL of the last is a repetition.
 */
export class PingAnswerer {
  readonly #parts: PingParts;
  #lastUrl = '';
  #waiting = 0;
  #previous: Promise<void> = Promise.resolve();

  constructor(parts: PingParts) {
    this.#parts = parts;
  }

  /** Answers a ping, if required. `connection` is the connection that it came from. Never rejects. */
  async answer(ping: PingRequest, connection: NoiseRequest): Promise<void> {
    const { ignored } = this.#parts;
    const { URL: url, URLIsNoise } = ping;
    if (url === null || url === '' || url === this.#lastUrl) return;
    const target = URL.parse(url);
    if (target === null || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
      ignored('its URL is not one of HTTP');
      return;
    }
    const answers = this.#answersTo(ping);
    if (answers.length === 0) return;
    if (this.#waiting >= MOST_WAITING) {
      ignored('others wait for their answers');
      return;
    }
    this.#lastUrl = url;
    this.#waiting++;
    const isNoise = URLIsNoise === true;
    this.#previous = this.#previous.then(() => this.#sendAll(target, answers, isNoise ? connection : null));
    await this.#previous;
    this.#waiting--;
  }

  /** Sends the answers in order, over the control connection if one is given. Never rejects. */
  async #sendAll(target: URL, answers: readonly Answer[], connection: NoiseRequest | null): Promise<void> {
    try {
      for (const { method, body } of answers) {
        if (connection === null) {
          await this.#send(target.href, method, body);
        } else {
          const limits = { timeoutMs: TIMEOUT_MS, limitBytes: LIMIT_BYTES, method };
          await connection.request(`${target.pathname}${target.search}`, body, limits);
        }
      }
    } catch (error) {
      this.#parts.ignored(errorMessage(error));
    }
  }

  #answersTo({ Types, IP, URLIsNoise, Payload }: PingRequest): Answer[] {
    const { ignored } = this.#parts;
    if (Types === null || Types === '') return [{ method: 'HEAD', body: null }];
    if (Types === C2N) {
      if (URLIsNoise === true) return [{ method: 'POST', body: answerNodeRequest(Payload) }];
      ignored('a request to the node must come over the control connection');
      return [];
    }
    const answers: Answer[] = [];
    for (const type of Types.split(',')) {
      if (TYPES.has(type)) {
        answers.push({ method: 'POST', body: JSON.stringify({ Type: type, IP: IP ?? '', Err: NO_TUNNEL }) });
      } else {
        ignored(`its type ${errorMessage(type)} is not known`);
      }
    }
    return answers.slice(0, TYPES.size);
  }

  async #send(url: string, method: Answer['method'], body: Answer['body']): Promise<void> {
    const { caPem, environment } = this.#parts;
    await requestHttp({
      url,
      method,
      headers: body === null ? {} : { 'Content-Type': 'application/json' },
      body,
      timeoutMs: TIMEOUT_MS,
      limitBytes: LIMIT_BYTES,
      caPem: caPem ?? undefined,
      environment,
    });
  }
}
