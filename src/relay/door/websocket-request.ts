import { CharacterSet } from '../../wire/character-set.ts';
import type { RequestHead } from '../../wire/request-head.ts';

/** The version of RFC 6455; 8 was a draft that had the same frames. */
const VERSION = '13';
/** 16 bytes in base64. */
const KEY = new CharacterSet('0-9', 'A-Z', 'a-z', '+/');
const KEY_CHARACTERS = 22;
const KEY_END = '==';

/** Why a request for a WebSocket is refused, and the answer to it. */
export interface WebSocketProblem {
  readonly reason: 'websocket_refused' | 'websocket_invalid';
  readonly detail: string;
  /** A whole response. */
  readonly answer: string;
}

const LAST_LINES = 'Content-Length: 0\r\n\r\n';

/** The answer to an invalid WebSocket request. */
export const BAD_WEBSOCKET_REQUEST: string = `HTTP/1.1 400 Bad Request\r\nConnection: close\r\n${LAST_LINES}`;

const OTHER_VERSION: WebSocketProblem = {
  reason: 'websocket_refused',
  detail: `a version other than ${VERSION}`,
  // RFC 6455 §4.4 and RFC 9110 §15.5.22: the answer lists the supported version.
  answer:
    'HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n' +
    `Sec-WebSocket-Version: ${VERSION}\r\n${LAST_LINES}`,
};
const NOT_GET: WebSocketProblem = {
  reason: 'websocket_invalid',
  detail: 'a method other than GET',
  answer: BAD_WEBSOCKET_REQUEST,
};
const BAD_KEY: WebSocketProblem = {
  reason: 'websocket_invalid',
  detail: 'no valid Sec-WebSocket-Key',
  answer: BAD_WEBSOCKET_REQUEST,
};

/** Checks a request for a WebSocket (§1.6); null when it can be opened. */
export function webSocketProblem({ method, headers }: RequestHead): WebSocketProblem | null {
  if (method !== 'GET') return NOT_GET;
  if (headers.get('sec-websocket-version') !== VERSION) return OTHER_VERSION;
  const key = headers.get('sec-websocket-key') ?? '';
  const isKey = key.endsWith(KEY_END) && KEY.holds(key.slice(0, -KEY_END.length), KEY_CHARACTERS);
  return isKey ? null : BAD_KEY;
}
