import { defaultGateway } from '../../base/default-gateway.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { withinTime } from '../../base/within-time.ts';
import { formatHostPort, ipFamily } from '../../base/ip-address.ts';
import { isPublicIp } from '../../base/public-ip.ts';
import type { PeerRelayConfig } from '../../config/schema/peer-relay.ts';
import type { StunServerName } from '../../tailnet/netmap.ts';
import type { Transport } from '../../transport/port.ts';
import { mapPorts } from './port-mapping.ts';
import { AdvertisedAddresses, resolveName } from './advertised-addresses.ts';
import type { ReachedAddress } from './reached-address.ts';
import { StunRounds, type StunRoundsParts } from './stun-rounds.ts';
import type { EventLog } from '../../base/event-log.ts';

/** Time between two look-ups of the configured names. */
const NAMES_MS = 60_000;
/** The same when a name could not be resolved, as before the network is up. */
const NAMES_FAILED_MS = 10_000;
/** Time between two looks at the addresses of this machine, which change with a link or a lease. */
const INTERFACES_MS = 5000;
/** Longest time that the start waits for names. DERP opens after it. */
const START_MS = 2000;
/** Behind a NAT, STUN also keeps the mapping of each port open: most forget one after 30 s or later. */
const STUN_BEHIND_NAT_MS = 25_000;
/** Interval when the machine itself has the public address. */
const STUN_MS = 300_000;
const STUN_FAILED_MS = 15_000;
/** A restarted router has lost its mappings, so they are renewed long before they end. */
const MAPPING_MS = 600_000;
/** Value instead of a problem. */
const GOOD = 'good';
const DEFAULT_STUN_PORT = 3478;

export interface AddressSearchParts extends Pick<StunRoundsParts, 'door'> {
  readonly advertise: PeerRelayConfig['advertise'];
  /** The ports, in the order in which clients get them. */
  readonly ports: () => readonly number[];
  /** STUN servers that the tailnets name, for a configuration that names none. */
  readonly tailnetServers: () => readonly StunServerName[];
  readonly transport: Transport;
  /** Returns the 12-byte nonce of a port's mapping, which stays the same after a restart. */
  readonly nonceOf: (port: number) => Buffer;
  readonly clock: Clock;
  readonly log: EventLog<'info' | 'warn'>;
  /** Called when clients are told other addresses. */
  readonly changed: () => void;
  /** For tests: as in {@link AdvertisedAddresses}. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  readonly interfaces?: () => readonly string[];
}

/** Finds the addresses for clients, repeatedly. */
export class AddressSearch {
  readonly addresses: AdvertisedAddresses;
  readonly #parts: AddressSearchParts;
  readonly #stun: StunRounds;
  readonly #configuredServers: readonly StunServerName[];
  readonly #ended = new AbortController();
  #leave: () => void = () => undefined;
  #nextNamesAt = 0;
  #nextInterfacesAt = 0;
  #isResolving = false;
  /** When the addresses of this machine last changed. */
  #movedAt = Number.NEGATIVE_INFINITY;
  #nextStunAt = 0;
  #nextMappingAt = 0;
  #isStunBusy = false;
  #isMapping = false;
  readonly #problems: Record<'STUN' | 'port mapping', string> = { STUN: '', 'port mapping': '' };
  #told = '';
  /** Why the router does not forward one of the ports, or null. */
  #unmapped: string | null = null;

  constructor(parts: AddressSearchParts) {
    this.#parts = parts;
    const { advertise, ports, log, door, clock, resolve = resolveName, interfaces } = parts;
    this.addresses = new AdvertisedAddresses({
      configured: advertise.addresses,
      only: advertise.only,
      ports,
      resolve,
      ...(interfaces === undefined ? {} : { interfaces }),
      onProblem: (name, error) =>
        log.warn({ name, error: errorMessage(error) }, 'an address of the peer relay cannot be resolved'),
    });
    this.#configuredServers = advertise.stunServers.map(serverOf);
    this.#stun = new StunRounds({ door, clock, servers: () => this.#servers(), resolve });
  }

  /**
   * Resolves the configured names, reads the interfaces, and repeats that. Call it when the UDP ports are open. Resolves
   * after the first search, or earlier when names take long.
   */
  async start(): Promise<void> {
    const { clock } = this.#parts;
    this.addresses.readInterfaces();
    const found = this.#resolveNames();
    await withinTime(found, START_MS);
    this.#told = this.#text();
    void found.then(() => this.#tellChanges());
    this.#leave = clock.onTick((now) => this.#tick(now));
  }

  stop(): void {
    this.#leave();
    this.#ended.abort();
  }

  #servers(): readonly StunServerName[] {
    return this.#configuredServers.length > 0 ? this.#configuredServers : this.#parts.tailnetServers();
  }

  #tick(now: number): void {
    if (now >= this.#nextNamesAt && !this.#isResolving) void this.#resolveNames().then(() => this.#tellChanges());
    if (now >= this.#nextInterfacesAt) this.#readInterfaces(now);
    if (now >= this.#nextMappingAt && !this.#isMapping && this.#wantsMapping()) {
      this.#nextMappingAt = now + MAPPING_MS;
      void this.#askRouter();
    }
    if (this.#parts.advertise.only || now < this.#nextStunAt || this.#isStunBusy) return;
    // The tailnets have servers only after the first network map.
    this.#nextStunAt = now + 1000;
    if (this.#servers().length > 0) void this.#askStun();
  }

  async #resolveNames(): Promise<void> {
    const { clock } = this.#parts;
    this.#isResolving = true;
    await this.addresses.resolveNames();
    this.#isResolving = false;
    this.#nextNamesAt = clock.now + (this.addresses.hasNames ? NAMES_MS : NAMES_FAILED_MS);
  }

  /** With other addresses, the machine may be in another network: STUN servers and the router are asked again. */
  #readInterfaces(now: number): void {
    this.#nextInterfacesAt = now + INTERFACES_MS;
    if (!this.addresses.readInterfaces()) return;
    this.#movedAt = now;
    this.#nextStunAt = now;
    this.#nextMappingAt = now;
    this.#tellChanges();
  }

  async #askStun(): Promise<void> {
    const { clock } = this.#parts;
    const startedAt = clock.now;
    this.#isStunBusy = true;
    try {
      const found = await this.#stun.run();
      this.addresses.setFound('STUN', found);
      const hasMoved = this.#movedAt >= startedAt;
      this.#nextStunAt = clock.now + (hasMoved ? 0 : this.#isBehindNat(found) ? STUN_BEHIND_NAT_MS : STUN_MS);
      this.#worked('STUN');
    } catch (error) {
      this.#nextStunAt = clock.now + STUN_FAILED_MS;
      this.#failed('STUN', error);
    } finally {
      this.#isStunBusy = false;
    }
  }

  #wantsMapping(): boolean {
    const { only, addresses, portMapping } = this.#parts.advertise;
    if (only || portMapping === 'off') return false;
    if (portMapping === 'on') return true;
    return addresses.length === 0 && !this.addresses.machineIps.some((ip) => ipFamily(ip) === 4 && isPublicIp(ip));
  }

  async #askRouter(): Promise<void> {
    const { clock, log, nonceOf, ports, transport } = this.#parts;
    this.#isMapping = true;
    try {
      const gateway = defaultGateway();
      if (gateway === null) throw new Error('the system shows no default gateway for IPv4');
      const { signal } = this.#ended;
      const { how, addresses, problem } = await mapPorts({
        transport,
        clock,
        gateway,
        signal,
        ports: ports(),
        nonceOf,
      });
      this.addresses.setFound('port mapping', addresses, how);
      if (this.#worked('port mapping')) log.info({ how, gateway: gateway.ip }, 'the router forwards the UDP ports');
      if (problem !== null && problem !== this.#unmapped)
        log.warn({ how, problem }, 'the router forwards only some of the UDP ports');
      this.#unmapped = problem;
    } catch (error) {
      this.#failed('port mapping', error);
    } finally {
      this.#isMapping = false;
    }
  }

  /** Records that a source works. Returns true when it did not work before. */
  #worked(name: 'STUN' | 'port mapping'): boolean {
    const isNews = this.#problems[name] !== GOOD;
    this.#problems[name] = GOOD;
    this.#tellChanges();
    return isNews;
  }

  #failed(name: 'STUN' | 'port mapping', error: unknown): void {
    if (this.#ended.signal.aborted) return;
    const problem = error instanceof Error ? error : new Error(String(error));
    this.addresses.setFound(name, problem);
    if (this.#problems[name] !== problem.message)
      this.#parts.log.warn(
        { problem: errorMessage(problem) },
        `no address of the peer relay by ${name}; the last addresses stay in use`,
      );
    this.#problems[name] = problem.message;
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
    this.#parts.changed();
  }

  #text(): string {
    return this.addresses.addresses.map(({ ip, port }) => formatHostPort(ip, port)).join(' ');
  }
}

/** Parses `HOST` or `HOST:PORT`. The configuration has checked the form. */
function serverOf(text: string): StunServerName {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  return { host: bracketed ?? plain ?? text, port: port === undefined ? DEFAULT_STUN_PORT : Number(port) };
}
