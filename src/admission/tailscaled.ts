import { SourceFailure } from './failure.ts';
import { askSource, parseJson, tooLong } from './http-request.ts';
import { nodeFacts } from './node-facts.ts';
import { isRecord } from './node-list.ts';
import type { Question, Reply } from './source.ts';

/** The capability version of upstream v1.102. tailscaled requires a number, but does not check it for this request. */
const CAPABILITY = '142';
/** A node with many routes; upstream has no limit. */
const ANSWER_BYTES = 1024 * 1024;
const HOST = 'local-tailscaled.sock';

/**
 * Asks tailscaled's local API who has a key (protocol reference §4.9). The answer only needs to be JSON, so that
 * versions of relay and tailscaled are independent of each other.
 */
export function whoIsRequest(socketPath: string, timeoutMs: number): (question: Question) => Promise<Reply> {
  const refused = (what: string): SourceFailure => new SourceFailure('answer', `${socketPath}: ${what}`);
  return async ({ key }) => {
    const { status, body, isWhole } = await askSource({
      url: `http://${HOST}/localapi/v0/whois?addr=${encodeURIComponent(`nodekey:${key}`)}`,
      method: 'GET',
      headers: { 'Tailscale-Cap': CAPABILITY },
      socketPath,
      timeoutMs,
      limitBytes: ANSWER_BYTES,
    });
    if (status === 404) return false;
    const text = body.subarray(0, 120).toString('utf8').trim();
    if (status === 400 && text.includes("invalid 'addr' parameter")) {
      throw refused('this version of tailscaled cannot look up node keys; update it');
    }
    if (status === 403)
      throw refused('tailscaled refuses this user; run towpath as root or as the operator of tailscaled');
    if (status !== 200) throw refused(`tailscaled answered ${status}: ${text}`);
    if (!isWhole) throw tooLong(socketPath, ANSWER_BYTES);
    const answer = parseJson(body, socketPath, ['Node', 'UserProfile', 'LoginName', 'Tags']);
    const { Node: node, UserProfile: user } = isRecord(answer) ? answer : {};
    const { Name: name, Tags: tags } = isRecord(node) ? node : {};
    // The name is that of MagicDNS, with the tailnet behind it.
    const label = typeof name === 'string' ? name.split('.')[0] : '';
    return nodeFacts(label, isRecord(user) ? user['LoginName'] : '', tags);
  };
}
