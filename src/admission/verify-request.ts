import { SourceFailure } from './failure.ts';
import { requestJson } from './http-request.ts';
import type { Secret } from './secret.ts';
import { redactUrl } from '../base/redact-url.ts';
import type { Question } from './source.ts';

/** Upstream does not read a longer answer (protocol reference §4.9). */
const ANSWER_BYTES = 4096;
const DECISIVE = ['Allow'];

/**
 * Asks an admission URL as derper does (§4.9): POST `{"NodePublic":…,"Source":…}` without Content-Type; a yes is status 200
 * with `Allow` true.
 */
export function verifyRequest(
  url: string,
  timeoutMs: number,
  token: Secret | null,
): (question: Question) => Promise<boolean> {
  return async ({ key, ip }) => {
    const secret = token === null ? null : await token();
    const headers: Record<string, string> = secret === null ? {} : { Authorization: `Bearer ${secret}` };
    const body = JSON.stringify({ NodePublic: `nodekey:${key}`, Source: ip });
    const limitBytes = ANSWER_BYTES;
    const decisive = DECISIVE;
    const answer = await requestJson({ url, method: 'POST', headers, body, timeoutMs, limitBytes, secret, decisive });
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
      throw new SourceFailure('answer', `${redactUrl(url)}: the answer is not a JSON object`);
    }
    // Go accepts field names in any case, and a missing field is false.
    return Object.entries(answer).find(([name]) => name.toLowerCase() === 'allow')?.[1] === true;
  };
}
