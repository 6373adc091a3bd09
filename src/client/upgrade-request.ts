import { createHash, randomBytes } from 'node:crypto';
import { upgradeError } from './errors.ts';
import type { RelayAddress } from './relay-url.ts';
import type { ResponseHead } from './response-head.ts';

/** RFC 6455 §1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Header values we send: printable ASCII, so that none can end its line. */
const HEADER_VALUE = /^[\x20-\x7e]*$/;

/** How a connection is turned into a DERP stream (§1.1, §1.5, §1.6). */
export type UpgradeMode = 'upgrade' | 'fast-start' | 'websocket';

/** The request that asks a relay for DERP, and the check of its answer. */
export interface UpgradeRequest {
  /** The whole request head. */
  readonly head: string;
  /** Throws when the 101 does not fit the request. */
  check(response: ResponseHead): void;
}

/** Builds the upgrade request in the shape of official clients. `idealNode` is empty when this is the region's first node. */
export function upgradeRequest(address: RelayAddress, mode: UpgradeMode, idealNode: string): UpgradeRequest {
  if (!HEADER_VALUE.test(idealNode)) throw upgradeError('the ideal node is not a valid header value');
  const lines = [`GET ${address.path} HTTP/1.1`, `Host: ${address.hostHeader}`, 'User-Agent: towpath'];
  const key = randomBytes(16).toString('base64');
  lines.push('Connection: Upgrade');
  if (mode === 'fast-start') lines.push('Derp-Fast-Start: 1');
  if (idealNode !== '') lines.push(`Ideal-Node: ${idealNode}`);
  if (mode === 'websocket') {
    lines.push(`Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Protocol: derp', 'Sec-WebSocket-Version: 13');
    lines.push('Upgrade: websocket');
  } else {
    lines.push('Upgrade: DERP');
  }
  return {
    head: `${lines.join('\r\n')}\r\n\r\n`,
    check(response) {
      if (mode === 'websocket') checkWebSocket(response, key);
    },
  };
}

function checkWebSocket(response: ResponseHead, key: string): void {
  const accept = createHash('sha1')
    .update(key + WEBSOCKET_GUID)
    .digest('base64');
  if (response.headers.get('sec-websocket-accept') !== accept) {
    throw upgradeError('the relay did not accept the WebSocket key');
  }
  if (response.headers.get('sec-websocket-protocol')?.toLowerCase() !== 'derp') {
    throw upgradeError('the relay did not choose the WebSocket subprotocol "derp"');
  }
}
