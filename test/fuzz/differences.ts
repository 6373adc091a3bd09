import { bytesOf, type Bytes, type Input } from './input.ts';

/** An intended difference from derper, with its reason. */
interface Difference {
  readonly reason: string;
  readonly applies: (sent: Sent, derper: string, towpath: string) => boolean;
}

interface Sent {
  /** True for a request head, false for DERP. */
  readonly isHead: boolean;
  readonly overWebSocket: boolean;
  readonly text: string;
  /** Bytes of the largest part. */
  readonly largest: number;
}

/** Deepest JSON that Go's package reads. */
const DEEPEST_JSON = 10_000;
const WAITS = 'open';

/** Largest message of the WebSocket package that derper uses, in bytes. */
const DERPER_MESSAGE_BYTES = 32_768;

const DIFFERENCES: readonly Difference[] = [
  {
    reason: 'a WebSocket message may hold a largest packet; derper ends at 32 KiB (protocol reference §1.6)',
    applies: ({ largest, overWebSocket }, derper, towpath) =>
      overWebSocket && largest > DERPER_MESSAGE_BYTES && derper.startsWith('in, ') && towpath === 'open',
  },
  {
    reason: 'a head is bounded in bytes (limits.requestHeadBytes), not in lines',
    applies: ({ isHead }, derper) => isHead && derper.startsWith('431'),
  },
  {
    reason: 'a frame that is too long is refused at its header; derper reads the key behind it first',
    applies: ({ isHead }, derper, towpath) => !isHead && derper === 'in, silent' && towpath === 'in, closed',
  },
  {
    reason: 'ClientInfo must be an object; for Go null is an empty one, which no client sends',
    applies: ({ isHead, text }, derper) => !isHead && derper === 'open' && text.trim() === 'null',
  },
  {
    reason:
      'numbers: Go reads 64-bit integers written as such, JavaScript numbers up to 2^53 in any form; the version is 2',
    applies: ({ isHead, text }) => !isHead && /"version":\s*-?(?:\d{16,}|\d+[.eE])/i.test(text),
  },
  {
    reason: `Go's JSON package stops at a depth of ${DEEPEST_JSON}; here the length of the frame is the bound`,
    applies: ({ isHead, text }, derper) => !isHead && derper === 'closed' && text.split(/[[{]/).length > DEEPEST_JSON,
  },
  {
    reason: 'a head is judged when it is complete, within its deadline; Go answers to a wrong first line at once',
    applies: ({ isHead }, derper, towpath) => isHead && derper.startsWith('400') && towpath === WAITS,
  },
  {
    reason: 'lines end with CR and LF; Go takes LF alone',
    applies: ({ isHead, text }, _derper, towpath) =>
      isHead && /(?<!\r)\n/.test(text) && (towpath === WAITS || towpath.startsWith('400')),
  },
  {
    reason:
      'what can be read in two ways is refused and closed: folded lines, a length beside chunked, bytes beyond ASCII in a path, methods in other letters, other versions than 1.0 and 1.1',
    applies: ({ isHead }, _derper, towpath) => isHead && /^(?:400|501|505|431), closed$/.test(towpath),
  },
  {
    reason: 'CONNECT is answered by 403, as derper does on its TLS listener',
    applies: ({ isHead, text }, derper, towpath) =>
      isHead && text.startsWith('CONNECT ') && derper.startsWith('404') && towpath.startsWith('403'),
  },
  {
    reason: 'a path is what was sent; the router of Go decodes and cleans it first',
    applies: ({ isHead, text }, derper, towpath) =>
      isHead &&
      /^\w+ \S*(?:%|\/\.|\/\/)/.test(text) &&
      /^(?:426|307|301|400|204)/.test(derper) &&
      towpath.startsWith('200'),
  },
  {
    reason: 'Host is not looked at: a relay has one name; Go wants one and checks its letters',
    applies: ({ isHead }, derper, towpath) =>
      isHead && derper.startsWith('400') && /^(?:200|204|405|426|404)/.test(towpath),
  },
  {
    reason: 'a WebSocket version other than 13 gets 426 and the right version (RFC 6455 §4.4)',
    applies: ({ isHead }, derper, towpath) => isHead && derper.startsWith('400') && towpath.startsWith('426'),
  },
];

/** Returns the reason why the relays may differ for this input, or null. */
export function chosenDifference(input: Input, derper: string, towpath: string): string | null {
  const parts = input.steps.map((step) => bytesOf(Object.values(step)[0] as Bytes));
  const sent = {
    isHead: input.start === 'nothing',
    overWebSocket: input.start.startsWith('websocket'),
    text: Buffer.concat(parts).toString('latin1'),
    largest: Math.max(...parts.map(({ length }) => length)),
  };
  return DIFFERENCES.find(({ applies }) => applies(sent, derper, towpath))?.reason ?? null;
}
