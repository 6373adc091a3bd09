import { errorMessage } from '../base/errors.ts';
import { requestHttp } from '../transport/http/request.ts';
import { parseForeignJson } from '../wire/json.ts';
import { ControlError } from './control-error.ts';
import type { ControlServer } from './control-server.ts';
import { parseMachineKey } from './key-text.ts';
import { retryAfterMs } from './retry-after.ts';

const LIMIT_BYTES = 64 * 1024;
const EXPLANATION_CHARACTERS = 200;

/**
 * Asks the control server for its public key (peer-relay reference §13.1). The security of everything else depends on
 * it, so an `https:` URL is verified. Rejects with a {@link ControlError}.
 */
export async function fetchControlKey(server: ControlServer): Promise<Buffer> {
  const url = new URL(`/key?v=${server.version}`, server.url);
  const answer = await requestHttp({
    url: url.href,
    method: 'GET',
    headers: {},
    timeoutMs: server.timeoutMs,
    limitBytes: LIMIT_BYTES,
    caPem: server.caPem ?? undefined,
    environment: server.environment,
  }).catch((error: unknown) => {
    throw new ControlError('unreachable', `${url.origin}/key: ${errorMessage(error)}`, null, error);
  });
  if (answer.status === 429 || answer.status === 503) {
    const after = retryAfterMs(answer.headers.get('retry-after'), answer.status);
    throw new ControlError('busy', `${url.origin}/key: it answered ${answer.status}`, after);
  }
  if (answer.status !== 200) {
    const said = errorMessage(answer.body.toString('utf8', 0, EXPLANATION_CHARACTERS));
    const version = answer.status === 400 ? ` (is capability version ${server.version} too old for it?)` : '';
    throw new ControlError('protocol', `${url.origin}/key: it answered ${answer.status}${version}: ${said}`);
  }
  return readKey(answer.body, url.origin);
}

function readKey(body: Buffer, origin: string): Buffer {
  let parsed: unknown;
  try {
    parsed = parseForeignJson(body, ['publicKey']);
  } catch {
    parsed = null;
  }
  const text: unknown =
    parsed !== null && typeof parsed === 'object' && 'publicKey' in parsed ? parsed.publicKey : null;
  const key = typeof text === 'string' ? parseMachineKey(text) : null;
  if (key === null)
    throw new ControlError('protocol', `${origin}/key: the answer holds no key; is this a Tailscale control server?`);
  return key;
}
