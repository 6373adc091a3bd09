import { SourceFailure } from './failure.ts';
import { requestJson } from './http-request.ts';
import type { Secret } from './secret.ts';
import { redactUrl } from '../base/redact-url.ts';
import { nodeFacts } from './node-facts.ts';
import type { Question, Reply } from './source.ts';

/** Upstream does not read a longer answer (protocol reference §4.9). */
const ANSWER_BYTES = 4096;
const DECISIVE = ['Allow', 'User', 'Tags', 'Label'];

/**
 * Asks an admission URL as derper does (§4.9): POST `{"NodePublic":…,"Source":…}` without Content-Type; a yes is status 200
 * with `Allow` true. derper's services say no more; one made for towpath may add `User`, `Tags` and `Label`.
 */
export function verifyRequest(
  url: string,
  timeoutMs: number,
  token: Secret | null,
): (question: Question) => Promise<Reply> {
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
    const field = (wanted: string): unknown =>
      Object.entries(answer).find(([name]) => name.toLowerCase() === wanted)?.[1];
    return field('allow') === true && nodeFacts(field('label'), field('user'), field('tags'));
  };
}
