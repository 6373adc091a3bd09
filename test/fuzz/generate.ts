import { encodeFrame } from '../../src/wire/frames.ts';
import { asBytes, bytesOf, type Input, type Step } from './input.ts';
import { applyEdits, edits } from './mutate.ts';
import { Random } from './random.ts';
import { webSocketFrame } from './websocket.ts';
import { CLIENT_INFOS, HEADS, PROXY_HEADERS, STUN_REQUEST } from './samples.ts';
import { LOW_ORDER_KEYS } from '../wire/low-order-keys.ts';

const SIZES = [0, 1, 61, 62, 100, 1400, 16_384, 65_535, 65_536];
const CONTROL_BYTES = 125;
const EARLY_ALERTS = 300;

/** The material for inputs, and the kind of relay that they are for. */
export interface Recipe {
  readonly hellos: readonly Buffer[];
  /** Connections to the DERP port begin with a PROXY header. */
  readonly behindProxy: boolean;
  /** Inputs of the corpus; some of them are sent with changes. */
  readonly corpus: readonly Input[];
}

type Kind = (random: Random, recipe: Recipe) => Pick<Input, 'name' | 'steps'> & Partial<Input>;

const KINDS: readonly Kind[] = [
  junk,
  clientHello,
  brokenTls,
  head,
  head,
  port80,
  clientInfo,
  clientInfo,
  frames,
  frames,
  webSocket,
  stun,
  known,
];

/** Returns the input of a seed. */
export function generate(seed: number, recipe: Recipe): Input {
  const random = new Random(seed);
  const made = random.pick(KINDS)(random, recipe);
  const input: Input = {
    port: 'derp',
    tls: random.once(3) ? tlsOf(random) : {},
    start: 'nothing',
    cuts: random.once(2) ? random.next() : 0,
    end: random.pick(['fin', 'reset', 'half-close', 'wait']),
    ...made,
  };
  if (!recipe.behindProxy || input.port !== 'derp') return input;
  const header = random.pick(PROXY_HEADERS);
  return { ...input, preamble: asBytes(random.once(3) ? changed(random, header) : header) };
}

function changed(random: Random, bytes: Buffer): Buffer {
  return applyEdits(bytes, edits(random, bytes.length));
}

function tlsOf(random: Random): NonNullable<Input['tls']> {
  return {
    alpn: random.pick([['http/1.1'], ['h2', 'http/1.1'], ['acme-tls/1'], ['a'.repeat(255)]]),
    serverName: random.pick(['', 'x', 'derp.example.com', `${'a.'.repeat(120)}b`]),
    ...(random.once(2) ? { maxVersion: 'TLSv1.2' as const } : {}),
  };
}

function junk(random: Random): ReturnType<Kind> {
  const bytes = random.pick([
    () => random.bytes(random.below(3000)),
    () => Buffer.concat(Array.from({ length: EARLY_ALERTS }, () => Buffer.from('1503010002015a', 'hex'))),
    () => Buffer.concat(Array.from({ length: EARLY_ALERTS }, () => Buffer.from('1603010000', 'hex'))),
  ])();
  return { name: 'bytes that are not TLS', tls: null, steps: [{ send: asBytes(bytes) }] };
}

function clientHello(random: Random, { hellos }: Recipe): ReturnType<Kind> {
  return { name: 'a changed ClientHello', tls: null, steps: [{ send: asBytes(changed(random, random.pick(hellos))) }] };
}

function brokenTls(random: Random): ReturnType<Kind> {
  const start = random.pick(['nothing', 'upgrade', 'login'] as const);
  return { name: 'broken TLS records', start, steps: [{ raw: asBytes(random.bytes(1 + random.below(300))) }] };
}

function head(random: Random): ReturnType<Kind> {
  const bytes = Buffer.from(random.pick(HEADS), 'latin1');
  return {
    name: 'a changed request head',
    steps: [{ send: asBytes(random.once(8) ? bytes : changed(random, bytes)) }],
  };
}

function port80(random: Random): ReturnType<Kind> {
  return { ...head(random), name: 'a changed request head without TLS', port: 'http', tls: null };
}

function clientInfo(random: Random): ReturnType<Kind> {
  const json = Buffer.from(random.pick(CLIENT_INFOS), 'latin1');
  const step: Step = {
    clientInfo: asBytes(random.once(2) ? changed(random, json) : json),
    ...(random.once(3) ? { edits: edits(random, json.length + 77) } : {}),
    ...(random.once(10) ? { publicKey: random.pick(LOW_ORDER_KEYS) } : {}),
  };
  return { name: 'a changed ClientInfo', start: 'upgrade', steps: [step] };
}

function frames(random: Random): ReturnType<Kind> {
  const steps = Array.from({ length: 1 + random.below(30) }, (): Step => {
    const payload = random.bytes(Math.min(random.pick(SIZES), 2000));
    const largest = Buffer.alloc(random.pick(SIZES), random.below(256));
    switch (random.below(8)) {
      case 0:
      case 1:
        return { toSelf: asBytes(random.once(2) ? payload : largest) };
      case 2:
        return { send: asBytes(encodeFrame(0x04, random.bytes(32), Buffer.from('5453f09f92ac', 'hex'), payload)) };
      case 3:
        return { send: asBytes(encodeFrame(0x12, random.bytes(random.pick([8, 8, 8, 7, 1000, 1001])))) };
      case 4:
        return { send: asBytes(encodeFrame(0x07, random.bytes(random.pick([1, 1, 1, 0, 2])))) };
      case 5:
        return { send: asBytes(changed(random, encodeFrame(0x04, random.bytes(32), payload))) };
      default:
        return { send: asBytes(encodeFrame(random.below(256) as 0x13, random.once(5) ? largest : payload)) };
    }
  });
  return { name: 'frames', start: random.once(4) ? 'websocket-login' : 'login', steps };
}

function webSocket(random: Random): ReturnType<Kind> {
  const parts = Array.from({ length: 1 + random.below(20) }, () => {
    const payload = random.bytes(random.below(random.once(5) ? 70_000 : 300));
    const operation = random.pick([0, 1, 2, 2, 2, 8, 9, 9, 10, random.below(16)]);
    const message = webSocketFrame(operation, operation >= 8 ? payload.subarray(0, CONTROL_BYTES) : payload);
    return random.once(3) ? changed(random, message) : message;
  });
  const start = random.pick(['websocket', 'websocket-login'] as const);
  return { name: 'WebSocket frames', start, steps: [{ bare: asBytes(Buffer.concat(parts)) }] };
}

function stun(random: Random): ReturnType<Kind> {
  const steps = Array.from({ length: 20 }, () => ({ send: asBytes(changed(random, STUN_REQUEST)) }));
  return { name: 'datagrams', port: 'stun', tls: null, steps };
}

/** Returns an input of the corpus with other writes and another end, and often with a change. */
function known(random: Random, recipe: Recipe): ReturnType<Kind> {
  if (recipe.corpus.length === 0) return head(random);
  const input = random.pick(recipe.corpus);
  const steps = input.steps.map((step): Step => {
    if (!('send' in step) || random.once(2)) return step;
    return { send: asBytes(changed(random, bytesOf(step.send))) };
  });
  return { ...input, steps, cuts: random.next(), end: random.pick(['fin', 'reset', 'half-close', 'wait']) };
}
