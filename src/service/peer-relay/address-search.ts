import { errorMessage } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import type { PeerRelayConfig } from '../../config/schema/peer-relay.ts';
import type { StunServerName } from '../../tailnet/netmap.ts';
import { AdvertisedAddresses, REFRESH_MS, resolveName } from './advertised-addresses.ts';
import type { ReachedAddress } from './reached-address.ts';
import { StunRounds, type StunRoundsParts } from './stun-rounds.ts';

/** Behind a NAT, STUN also keeps the mapping of each port open: most forget one after 30 s or later. */
const STUN_BEHIND_NAT_MS = 25_000;
/** Where the machine has its public address itself. */
const STUN_MS = 300_000;
const STUN_FAILED_MS = 15_000;
const DEFAULT_STUN_PORT = 3478;

/** The parts of a logger that the search writes to. */
interface SearchLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

export interface AddressSearchParts extends Pick<StunRoundsParts, 'door'> {
  readonly advertise: PeerRelayConfig['advertise'];
  /** The ports, in the order in which clients are told of them. */
  readonly ports: () => readonly number[];
  /** STUN servers that the tailnets name, for a configuration that names none. */
  readonly tailnetServers: () => readonly StunServerName[];
  readonly clock: Clock;
  readonly log: SearchLog;
}

/** Looks for the addresses that clients are told, again and again. */
export class AddressSearch {
  readonly addresses: AdvertisedAddresses;
  readonly #parts: AddressSearchParts;
  readonly #stun: StunRounds;
  readonly #configuredServers: readonly StunServerName[];
  #leave: () => void = () => undefined;
  #nextRefreshAt = 0;
  #nextStunAt = 0;
  #isStunBusy = false;
  #stunProblem: string | null = null;
  #told = '';

  constructor(parts: AddressSearchParts) {
    this.#parts = parts;
    const { advertise, ports, log, door, clock } = parts;
    this.addresses = new AdvertisedAddresses({
      configured: advertise.addresses,
      only: advertise.only,
      ports,
      onProblem: (name, error) =>
        log.warn({ name, error: errorMessage(error) }, 'an address of the peer relay cannot be resolved'),
    });
    this.#configuredServers = advertise.stunServers.map(serverOf);
    this.#stun = new StunRounds({ door, clock, servers: () => this.#servers(), resolve: resolveName });
  }

  /** Looks at the configured names and the interfaces, and goes on looking. Call it when the door is open. */
  async start(): Promise<void> {
    const { clock } = this.#parts;
    await this.addresses.refresh();
    this.#told = this.#text();
    this.#nextRefreshAt = clock.now + REFRESH_MS;
    this.#leave = clock.onTick((now) => this.#tick(now));
  }

  stop(): void {
    this.#leave();
  }

  #servers(): readonly StunServerName[] {
    return this.#configuredServers.length > 0 ? this.#configuredServers : this.#parts.tailnetServers();
  }

  #tick(now: number): void {
    if (now >= this.#nextRefreshAt) {
      this.#nextRefreshAt = now + REFRESH_MS;
      void this.addresses.refresh().then(() => this.#tellChanges());
    }
    if (this.#parts.advertise.only || now < this.#nextStunAt || this.#isStunBusy) return;
    // The tailnets name servers only once there is a network map.
    this.#nextStunAt = now + 1000;
    if (this.#servers().length > 0) void this.#askStun();
  }

  async #askStun(): Promise<void> {
    const { clock, log } = this.#parts;
    this.#isStunBusy = true;
    try {
      const found = await this.#stun.run();
      this.addresses.setFound('STUN', found);
      this.#nextStunAt = clock.now + (this.#isBehindNat(found) ? STUN_BEHIND_NAT_MS : STUN_MS);
      this.#stunProblem = null;
      this.#tellChanges();
    } catch (error) {
      const problem = error instanceof Error ? error : new Error(String(error));
      this.addresses.setFound('STUN', problem);
      this.#nextStunAt = clock.now + STUN_FAILED_MS;
      if (this.#stunProblem !== problem.message)
        log.warn({ problem: errorMessage(problem) }, 'STUN found no address of the peer relay; the last ones stay');
      this.#stunProblem = problem.message;
    } finally {
      this.#isStunBusy = false;
    }
  }

  #isBehindNat(found: readonly ReachedAddress[]): boolean {
    const { machineIps } = this.addresses;
    return found.some(({ ip }) => !machineIps.includes(ip));
  }

  #tellChanges(): void {
    const text = this.#text();
    if (text === this.#told) return;
    this.#told = text;
    this.#parts.log.info({ addresses: text }, 'clients are told other addresses of the peer relay');
  }

  #text(): string {
    return this.addresses.addresses.map(({ ip, port }) => formatHostPort(ip, port)).join(' ');
  }
}

/** `HOST` or `HOST:PORT`, as the configuration has been checked for. */
function serverOf(text: string): StunServerName {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  return { host: bracketed ?? plain ?? text, port: port === undefined ? DEFAULT_STUN_PORT : Number(port) };
}
