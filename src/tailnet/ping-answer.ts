import type { Environment } from '../transport/http/proxy-choice.ts';
import { requestHttp } from '../transport/http/request.ts';
import type { PingRequest } from './map-response.ts';

const TIMEOUT_MS = 10_000;
const LIMIT_BYTES = 4096;

/** What an answer to a ping needs. */
interface PingParts {
  readonly caPem: string | null;
  readonly environment: Environment;
  /** Told of what was not answered and why. */
  readonly ignored: (why: string) => void;
}

/**
 * Answers the pings of a control server: `HEAD URL` for one without types (addendum §6, E2). One with the URL of the last
 * is a repetition. Types such as `disco` and `c2n` are not answered: they make only an administrator's test fail.
 */
export class PingAnswerer {
  readonly #parts: PingParts;
  #lastUrl = '';
  #isBusy = false;

  constructor(parts: PingParts) {
    this.#parts = parts;
  }

  /** Starts an answer, if one is due; never rejects. */
  async answer({ URL: url, URLIsNoise, Types }: PingRequest): Promise<void> {
    const { ignored, caPem, environment } = this.#parts;
    if (url === null || url === '' || url === this.#lastUrl) return;
    if (Types !== null && Types !== '') {
      ignored(`its types (${Types}) are not answered`);
      return;
    }
    if (URLIsNoise === true) {
      ignored('it is to be answered over the control connection');
      return;
    }
    const target = URL.parse(url);
    if (target === null || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
      ignored('its URL is not one of HTTP');
      return;
    }
    if (this.#isBusy) {
      ignored('another one is being answered');
      return;
    }
    this.#lastUrl = url;
    this.#isBusy = true;
    try {
      await requestHttp({
        url,
        method: 'HEAD',
        headers: {},
        timeoutMs: TIMEOUT_MS,
        limitBytes: LIMIT_BYTES,
        caPem: caPem ?? undefined,
        environment,
      });
    } catch (error) {
      ignored(error instanceof Error ? error.message : String(error));
    } finally {
      this.#isBusy = false;
    }
  }
}
