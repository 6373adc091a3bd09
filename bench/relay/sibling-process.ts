/**
 * The other relay of a region, in a process of its own: a relay of towpath whose peer table has the requested number of keys,
 * without connections. It gets its orders as messages; see `sibling.ts`.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Clock } from '../../src/base/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { PresentFlag } from '../../src/wire/mesh-frames.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { Relay } from '../../src/relay/relay.ts';
import { Delivery, type Recipient } from '../../src/relay/routing/recipient.ts';
import { relaySettings } from '../../src/service/relay-settings.ts';
import { transport } from '../../src/transport/runtime.ts';
import type { SiblingOrder, SiblingSettings } from './sibling.ts';

const KEY_BYTES = 32;
/** Of this many keys, one is watched: packets must arrive for it. */
const WATCHED_EVERY = 5000;
/** Keys that are added in one turn of the event loop when a relay watches already. */
const KEYS_PER_TURN = 1000;

const given = JSON.parse(process.argv[2]!) as SiblingSettings;
const { config } = loadConfig({ env: { TOWPATH_HOSTNAME: '127.0.0.1', TOWPATH_ADMISSION_OPEN: 'true' } });
const settings = relaySettings(config, generateNodeKeyPair());
const mesh = { ...settings.live.mesh, keys: [Buffer.from(given.meshKey, 'hex')] };
const clock = new Clock();
clock.start();
const ignore = (): void => undefined;
const relay = new Relay(
  { ...settings, live: { ...settings.live, mesh } },
  {
    transport,
    clock,
    admission: { admit: () => ({ admitted: true }) },
    http: (stream) => stream.abort(),
    events: {
      refused: ignore,
      opened: (_remote, _key, app) => tell('joined', app),
      closed: ignore,
      listenerError: ignore,
      link: ignore,
      memory: ignore,
    },
    residentBytes: () => 0,
  },
);
/** Number of watched keys without a packet so far. */
let unreached = 0;

/** A client without a connection. */
class Absent implements Recipient {
  #isWatched: boolean;

  constructor(isWatched: boolean) {
    this.#isWatched = isWatched;
    if (isWatched) unreached++;
  }

  deliver(): Delivery {
    if (this.#isWatched && --unreached === 0) tell('reached', '');
    this.#isWatched = false;
    return Delivery.Taken;
  }

  presence(): ReturnType<Recipient['presence']> {
    return { ip: '192.0.2.1', port: 41_641, flags: PresentFlag.Regular, app: '' };
  }

  whenTaking(): void {}
  peerGone(): void {}
  health(): void {}
  crowdedOut(): void {}
  closePeer(): void {}
}

function tell(kind: string, detail: string | readonly string[]): void {
  process.send!({ kind, detail });
}

async function addKeys(count: number): Promise<void> {
  const watched: string[] = [];
  for (let i = 0; i < count; i++) {
    const key = randomBytes(KEY_BYTES);
    const isWatched = i % WATCHED_EVERY === 0;
    if (isWatched) watched.push(key.toString('hex'));
    relay.router.register(key, new Absent(isWatched));
    if (i % KEYS_PER_TURN === 0) await new Promise(setImmediate);
  }
  tell('keys', watched);
}

async function listen(): Promise<void> {
  const certificate = {
    certPem: readFileSync(given.certificate, 'utf8'),
    keyPem: readFileSync(given.certificateKey, 'utf8'),
  };
  await relay.listen({ ip: '127.0.0.1', port: given.port }, certificate);
  tell('listening', '');
}

process.on('message', (order: SiblingOrder) => {
  if (order.kind === 'listen') void listen();
  else void addKeys(order.count);
});
process.on('disconnect', () => process.exit());
