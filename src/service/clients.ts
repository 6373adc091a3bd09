import type { Logger } from 'pino';
import { ClientPolicy, type ConnectedKey, type KeyStatus } from '../accounting/client-policy.ts';
import { Accounting } from '../accounting/accounting.ts';
import { Tiers } from '../accounting/tiers.ts';
import { dayOf, Usage } from '../accounting/usage.ts';
import { SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import { withinTime } from '../base/within-time.ts';
import type { RegionEvent } from '../cluster/region.ts';
import type { Config } from '../config/schema.ts';
import type { Health } from '../observe/health.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import type { Relay } from '../relay/relay.ts';
import type { Admission, AdmissionRequest, AdmissionVerdict } from '../relay/session/admission.ts';
import type { KeyEnding } from '../relay/session/sessions.ts';
import type { TrafficRow } from '../accounting/traffic-store.ts';
import type { KeyTraffic } from '../relay/session/key-traffic.ts';
import type { AdmissionService } from './admission.ts';
import { ServiceRegionMember } from './region-member.ts';
import type { Endpoint } from '../transport/port.ts';
import type { PeerRelay } from './peer-relay/peer-relay.ts';
import { shortKey } from '../wire/keys.ts';

/** Longest time that the start waits for the earlier usage. After that it is read later. */
const START_MS = 3000;
/** Time between two counts of the keys' bytes. A key may exceed its quota by the bytes of this time. */
const COUNT_MS = 2000;

interface ClientRelay extends Pick<Relay, 'setKeyLimits' | 'takeTraffic' | 'snapshot'> {
  endKeys(endings: readonly KeyEnding[]): number | Promise<number>;
}

export interface ClientsParts {
  readonly admission: AdmissionService;
  /** Returns the peer relay, which is made later; null when there is none. */
  readonly peerRelay: () => Pick<PeerRelay, 'takeTraffic' | 'revoke'> | null;
  /** Returns the relay, which is made later. */
  readonly relay: () => ClientRelay;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
  readonly publicKey: Buffer;
}

/**
 * The clients of the relay by their node keys (64 hex digits): their tiers and their usage. It decides for the relay
 * whether a client may connect, and gives the status page the facts about it.
 */
export class Clients implements Admission {
  readonly #parts: ClientsParts;
  readonly #usage: Usage;
  readonly #policy: ClientPolicy;
  /** Null: accounting is off. */
  readonly #accounting: Accounting | null;
  /** Null: this relay shares no counts with others. */
  readonly #member: ServiceRegionMember | null;
  #leaves: (() => void)[] = [];
  #countAt = 0;
  /** True when the usage before the start is known or being read. */
  #hasUsed = false;
  #isReading = false;

  constructor(config: Config, parts: ClientsParts) {
    this.#parts = parts;
    this.#usage = new Usage(dayOf(Date.now()));
    this.#accounting = config.accounting.enabled ? new Accounting(config.accounting, parts.log) : null;
    this.#policy = new ClientPolicy(tiersOf(config), {
      admission: parts.admission,
      usage: this.#usage,
      relay: {
        setKeyLimits: (changes) => parts.relay().setKeyLimits(changes),
        endKeys: (endings) => parts.relay().endKeys(endings),
      },
      quotaChanged: (key, tier, isOver) => this.#quotaChanged(key, tier, isOver),
    });
    const { admission, relay, log, publicKey, health } = parts;
    const noted = (note: string | null): void => health.note('cluster', note);
    this.#member =
      config.cluster.valkey === undefined
        ? null
        : new ServiceRegionMember(config, {
            ...{ usage: this.#usage, policy: this.#policy, admission, relay, log, publicKey, noted },
            disconnect: (key) => void this.disconnect(key),
          });
  }

  /** Starts counting. Resolves when the earlier usage is known, or after {@link START_MS}. */
  async start(): Promise<void> {
    const { admission, clock } = this.#parts;
    this.#leaves = [
      clock.onTick((now) => this.#tick(now), SLOW_TICK_MS),
      // A source may have other facts about a node now.
      admission.onReviewed(() => this.#policy.review()),
    ];
    if (this.#accounting !== null) await withinTime(this.#keep(this.#accounting), START_MS);
    this.#member?.region.start();
  }

  /** Counts the rest and writes it. */
  async stop(): Promise<void> {
    if (this.#leaves.length > 0) {
      this.#count();
      await this.#countUdp();
    }
    for (const leave of this.#leaves.splice(0)) leave();
    await Promise.all([this.#accounting?.close(this.#hasUsed), this.#member?.region.stop()]);
  }

  /** Applies tiers and common limits, also to open connections. */
  reload(config: Config): void {
    this.#policy.reload(tiersOf(config), this.#connected());
  }

  /**
   * Sets the rate of a key in bytes per second, instead of the rate of its tier; 0: no limit; null: the rate of its
   * tier again.
   */
  setRate(key: string, bytesPerSecond: number | null): void {
    this.#policy.setRate(key, bytesPerSecond, this.#connected());
  }

  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict> {
    return this.#policy.admit(request);
  }

  /** Records that a connection of `key` has opened. */
  opened(key: Buffer, remote: Endpoint): void {
    const hex = key.toString('hex');
    this.#policy.opened(hex);
    this.#member?.opened(hex, remote);
  }

  /** Records that a connection of `key` has ended. */
  closed(key: Buffer, remote: Endpoint): void {
    const hex = key.toString('hex');
    this.#policy.closed(hex);
    this.#member?.closed(hex, remote);
  }

  /**
   * Ends the connections and the UDP endpoints of a key of 32 bytes at this relay. Resolves with how many connections there
   * were.
   */
  async disconnect(key: Buffer): Promise<number> {
    this.#parts.peerRelay()?.revoke(key);
    return this.#parts.relay().endKeys([{ key, refusal: 'disconnected', detail: 'by an operator' }]);
  }

  /** Sends an operator's action to the other relays of the region. */
  announce(event: RegionEvent): void {
    this.#member?.region.announce(event);
  }

  /** Returns name, owner, tier and usage of a key; `source` is its admission source. */
  status(connected: ConnectedKey): KeyStatus {
    return this.#policy.status(connected);
  }

  /** Returns whether a key has used up its quota. */
  isOverQuota(key: string): boolean {
    return this.#policy.isOverQuota(key);
  }

  /** Returns the rate of a key through the UDP relay in bytes per second; 0: no limit; null: the common rate. */
  udpRate(key: string): number | null {
    return this.#policy.udpRate(key);
  }

  metrics(): MetricDefinition[] {
    return [
      {
        name: 'towpath_keys_over_quota',
        help: 'Keys that have used up the bytes of their tier.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#policy.overQuota]],
      },
      ...(this.#accounting?.metrics() ?? []),
      ...(this.#member?.region.metrics() ?? []),
    ];
  }

  /** Returns one entry for each open connection. */
  #connected(): ConnectedKey[] {
    const { sessions } = this.#parts.relay().snapshot();
    return sessions.flatMap(({ key, isOpen, admittedBy }): ConnectedKey[] =>
      key === null || !isOpen || admittedBy === '' ? [] : [{ key, source: admittedBy }],
    );
  }

  #tick(now: number): void {
    this.#member?.region.tick(now);
    if (now < this.#countAt) return;
    this.#countAt = now + COUNT_MS;
    this.#count();
    void this.#countUdp();
    if (this.#accounting?.isDue(now) === true) void this.#keep(this.#accounting);
  }

  /** Counts the traffic of DERP connections. Bytes that the relay received are bytes that the client sent. */
  #count(): void {
    const traffic = this.#parts.relay().takeTraffic();
    const isNewDay = this.#usage.begin(dayOf(Date.now()));
    for (const { key, receivedBytes, receivedPackets, sentBytes, sentPackets } of traffic) {
      const sent = { sentBytes: receivedBytes, sentPackets: receivedPackets };
      this.#add({ key, ...sent, receivedBytes: sentBytes, receivedPackets: sentPackets }, 'derp');
    }
    if (isNewDay) this.#policy.review();
    else this.#policy.check(traffic.map(({ key }) => key));
  }

  /**
   * Counts the traffic of the peer relay, which counts from the client's side. A key over its quota loses its
   * endpoints.
   */
  async #countUdp(): Promise<void> {
    const peerRelay = this.#parts.peerRelay();
    if (peerRelay === null) return;
    const traffic = await peerRelay.takeTraffic();
    for (const entry of traffic) this.#add(entry, 'udp');
    const keys = traffic.map(({ key }) => key);
    this.#policy.check(keys);
    for (const key of keys) if (this.#policy.isOverQuota(key)) peerRelay.revoke(Buffer.from(key, 'hex'));
  }

  #add(traffic: KeyTraffic, path: TrafficRow['path']): void {
    this.#usage.add(traffic.key, traffic.sentBytes);
    this.#accounting?.add({ day: this.#usage.day, path, ...traffic });
  }

  /** Writes the counts. It first reads the earlier counts, which must not be counted twice. */
  async #keep(accounting: Accounting): Promise<void> {
    if (this.#hasUsed) await accounting.flush();
    else if (!this.#isReading) await this.#takeUsed(accounting);
  }

  async #takeUsed(accounting: Accounting): Promise<void> {
    const { day } = this.#usage;
    this.#isReading = true;
    const used = await accounting.used(day);
    this.#isReading = false;
    if (used === null) return;
    this.#hasUsed = true;
    // A new day began while the disk was busy, and perhaps a new month.
    const isSameDay = this.#usage.day === day;
    const isSameMonth = this.#usage.day.slice(0, 7) === day.slice(0, 7);
    for (const { key, dayBytes, monthBytes } of used) {
      if (isSameMonth) this.#usage.adopt(key, { dayBytes: isSameDay ? dayBytes : 0, monthBytes });
    }
    this.#policy.review();
  }

  #quotaChanged(key: string, tier: string, isOver: boolean): void {
    const message = isOver ? 'a key has used up the bytes of its tier' : 'a key has bytes of its tier again';
    this.#parts.log.info({ key: shortHex(key), tier }, message);
  }
}

function tiersOf({ fairness, limits }: Config): Tiers {
  return new Tiers(fairness, limits.connectionsPerKey);
}

function shortHex(key: string): string {
  return shortKey(Buffer.from(key, 'hex'));
}
