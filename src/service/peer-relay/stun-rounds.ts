import { randomBytes } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { shuffled } from '../../base/shuffled.ts';
import type { DoorPlace } from '../../relay/udp/door-places.ts';
import type { UdpDoor } from '../../relay/udp/door.ts';
import type { StunQuery, StunSighting } from '../../relay/udp/stun-queries.ts';
import type { StunServerName } from '../../tailnet/netmap.ts';
import { STUN_TRANSACTION_ID_BYTES } from '../../wire/stun.ts';
import type { ReachedAddress } from './reached-address.ts';

/**
 * Servers that are asked in one round, of each family. Two show whether a NAT uses another port for each destination.
 */
const SERVERS_PER_FAMILY = 2;
/** Servers whose names are looked up in one round. */
const MOST_CANDIDATES = 6;
/** A query is sent again when no answer came in this time, in milliseconds. */
const AGAIN_MS = 700;
const TRIES = 3;

export interface StunRoundsParts {
  readonly door: () => Pick<UdpDoor, 'places' | 'query' | 'onSighting'> | null;
  readonly clock: Clock;
  /** The servers that may be asked. */
  readonly servers: () => readonly StunServerName[];
  /** All addresses of a DNS name; rejects when it has none. */
  readonly resolve: (name: string) => Promise<readonly string[]>;
}

interface Sent extends StunQuery {
  readonly localPort: number;
  seen: StunSighting | null;
}

/** Asks STUN servers for the public addresses of the door's sockets (peer relay reference §8). */
export class StunRounds {
  readonly #parts: StunRoundsParts;

  constructor(parts: StunRoundsParts) {
    this.#parts = parts;
  }

  /** Makes one round. Rejects with an Error when there is no server, or no answer of any. */
  async run(): Promise<ReachedAddress[]> {
    const { door, servers } = this.#parts;
    const open = door();
    if (open === null) throw new Error('the UDP door is closed');
    const known = servers();
    if (known.length === 0) throw new Error('no STUN server is known');
    const targets = await this.#resolve(known);
    if (targets.length === 0) throw new Error('no name of a STUN server can be resolved');
    const sent = queriesOf(open.places, targets);
    if (sent.length === 0) throw new Error('no port is open in the family of a STUN server');
    await this.#ask(open, sent);
    const seen = sent.filter((query) => query.seen !== null);
    if (seen.length === 0) {
      const hosts = [...new Set(targets.map(({ ip }) => ip))].join(', ');
      throw new Error(`no answer from ${hosts}; is UDP to them blocked?`);
    }
    return reachedBy(seen);
  }

  async #resolve(known: readonly StunServerName[]): Promise<{ ip: string; port: number }[]> {
    const found = await Promise.all(
      shuffled(known)
        .slice(0, MOST_CANDIDATES)
        .map(async ({ host, port }) => {
          const ips = ipFamily(host) === 0 ? await this.#parts.resolve(host).catch(() => []) : [host];
          return ips.map((ip) => ({ ip, port }));
        }),
    );
    const all = found.flat();
    return [4, 6].flatMap((family) => all.filter(({ ip }) => ipFamily(ip) === family).slice(0, SERVERS_PER_FAMILY));
  }

  /** Sends the queries. Resolves when all have an answer, or after the last try. */
  async #ask(door: NonNullable<ReturnType<StunRoundsParts['door']>>, sent: readonly Sent[]): Promise<void> {
    const byId = new Map(sent.map((query) => [query.id, query]));
    door.onSighting = (sighting) => {
      const query = byId.get(sighting.id);
      if (query !== undefined) query.seen = sighting;
    };
    for (let i = 0; i < TRIES; i++) {
      const open = sent.filter(({ seen }) => seen === null);
      if (open.length === 0) return;
      door.query(open.map(({ id, place, ip, port }) => ({ id, place, ip, port })));
      await this.#until(() => sent.every(({ seen }) => seen !== null));
    }
  }

  #until(isOver: () => boolean): Promise<void> {
    const { clock } = this.#parts;
    const end = clock.now + AGAIN_MS;
    return new Promise((resolve) => {
      const leave = clock.onTick((now) => {
        if (now < end && !isOver()) return;
        leave();
        resolve();
      });
    });
  }
}

/** Returns one query from each place to each server of its family. */
function queriesOf(places: readonly DoorPlace[], targets: readonly { ip: string; port: number }[]): Sent[] {
  const sent: Sent[] = [];
  for (const [place, { ip: localIp, port: localPort }] of places.entries()) {
    for (const { ip, port } of targets) {
      if (!serves(places, localIp, localPort, ip)) continue;
      const id = randomBytes(STUN_TRANSACTION_ID_BYTES).toString('hex');
      sent.push({ id, place, ip, port, localPort, seen: null });
    }
  }
  return sent;
}

/** Returns whether a place is of the family of a server. Without a separate place of IPv4, `::` may be both. */
function serves(places: readonly DoorPlace[], localIp: string, localPort: number, serverIp: string): boolean {
  if (localIp.includes(':') === serverIp.includes(':')) return true;
  return localIp === '::' && !places.some(({ ip, port }) => port === localPort && !ip.includes(':'));
}

/**
 * Returns the addresses in the answers. A NAT that uses another port for each destination does not show the port for
 * clients. Then it is the local port, which is right where the port is forwarded by hand.
 */
function reachedBy(seen: readonly Sent[]): ReachedAddress[] {
  const reached = new Map<string, ReachedAddress>();
  for (const query of seen) {
    const { localPort } = query;
    const { ip, port } = query.seen!;
    const others = seen.filter((other) => other.place === query.place && ipFamily(other.seen!.ip) === ipFamily(ip));
    const isFixed = others.every((other) => other.seen!.port === port);
    const address = { localPort, ip, port: isFixed ? port : localPort };
    reached.set(`${address.localPort} ${address.ip} ${address.port}`, address);
  }
  return [...reached.values()];
}
