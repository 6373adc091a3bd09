import type { HeadscaleSourceConfig } from '../config/schema/admission-sources.ts';
import { baseUrl } from './base-url.ts';
import { requestDatedJson } from './http-request.ts';
import { nodeFacts, type NodeFacts, type NodeList } from './node-facts.ts';
import { isRecord, nodesOf, type ListedNode } from './node-list.ts';
import { openSecret } from './secret.ts';

const NODES_BYTES = 64 * 1024 * 1024;
const DECISIVE = ['nodes', 'nodeKey', 'expiry', 'user', 'tags', 'forcedTags', 'validTags'];

/** Reads the node keys of a Headscale server by its API. Nodes whose key has expired by its clock are left out. */
export function headscaleNodes(config: HeadscaleSourceConfig, now: () => number): () => Promise<NodeList> {
  const secret = openSecret(config.apiKey, config.apiKeyFile)!;
  const url = `${baseUrl(config.url)}/api/v1/node`;
  const timeoutMs = config.timeoutSeconds * 1000;
  return async () => {
    const apiKey = await secret();
    const headers = { Authorization: `Bearer ${apiKey}`, Accept: 'application/json' };
    const { value, answeredAt } = await requestDatedJson({
      url,
      method: 'GET',
      headers,
      timeoutMs,
      limitBytes: NODES_BYTES,
      secret: apiKey,
      decisive: DECISIVE,
    });
    return nodesOf(value, url, 'nodes', ({ expiry }) => !isPast(expiry, answeredAt ?? now()), factsOf);
  };
}

/** Returns Headscale's admission URL. */
export function headscaleVerifyUrl(config: HeadscaleSourceConfig): string {
  return `${baseUrl(config.url)}/verify`;
}

/** Tags are in `tags` since Headscale 0.28, and in two lists before. */
function factsOf({ givenName, name, user, tags, forcedTags, validTags }: ListedNode): NodeFacts {
  const lists = [tags, forcedTags, validTags].filter((list) => Array.isArray(list));
  const owner = isRecord(user) ? user['name'] || user['email'] : '';
  return nodeFacts(givenName || name, owner, lists.flat());
}

function isPast(expiry: unknown, now: number): boolean {
  const at = typeof expiry === 'string' ? Date.parse(expiry) : Number.NaN;
  // A missing time and Go's zero time both mean "never".
  return at > 0 && at <= now;
}
