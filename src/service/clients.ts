import type { Logger } from 'pino';
import { ClientPolicy, type ConnectedKey, type KeyStatus } from '../accounting/client-policy.ts';
import { Tiers } from '../accounting/tiers.ts';
import { dayOf, Usage } from '../accounting/usage.ts';
import type { Clock } from '../base/clock.ts';
import type { Config } from '../config/schema.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import type { Relay } from '../relay/relay.ts';
import type { Admission, AdmissionRequest, AdmissionVerdict } from '../relay/session/admission.ts';
import type { AdmissionService } from './admission.ts';
import { shortKey } from '../wire/keys.ts';

/** How often the bytes of the keys are counted: a key may go beyond its quota by what it sends in this time. */
const COUNT_MS = 2000;

type ClientRelay = Pick<Relay, 'setKeyLimits' | 'endKeys' | 'takeTraffic' | 'snapshot'>;

export interface ClientsParts {
  readonly admission: AdmissionService;
  /** The relay, which is made after this. */
  readonly relay: () => ClientRelay;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The clients of the relay by their node keys (64 hex digits): their tiers, and what they have used. Asked by the relay
 * whether a client may come in, and by the status page what is known of it.
 */
export class Clients implements Admission {
  readonly #parts: ClientsParts;
  readonly #usage: Usage;
  readonly #policy: ClientPolicy;
  #leaves: (() => void)[] = [];
  #countAt = 0;

  constructor(config: Config, parts: ClientsParts) {
    this.#parts = parts;
    this.#usage = new Usage(dayOf(Date.now()));
    this.#policy = new ClientPolicy(tiersOf(config), {
      admission: parts.admission,
      usage: this.#usage,
      relay: {
        setKeyLimits: (changes) => parts.relay().setKeyLimits(changes),
        endKeys: (endings) => parts.relay().endKeys(endings),
      },
      quotaChanged: (key, tier, isOver) => this.#quotaChanged(key, tier, isOver),
    });
  }

  /** Counts from now on. */
  start(): void {
    const { admission, clock } = this.#parts;
    this.#leaves = [
      clock.onTick((now) => this.#tick(now)),
      // A source may know other things of a node now.
      admission.onReviewed(() => this.#policy.review()),
    ];
  }

  stop(): void {
    for (const leave of this.#leaves.splice(0)) leave();
  }

  /** Takes tiers and common limits over, for open connections too. */
  reload(config: Config): void {
    const { sessions } = this.#parts.relay().snapshot();
    const connected = sessions.flatMap(({ key, isOpen, admittedBy }): ConnectedKey[] =>
      key === null || !isOpen || admittedBy === '' ? [] : [{ key, source: admittedBy }],
    );
    this.#policy.reload(tiersOf(config), connected);
  }

  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict> {
    return this.#policy.admit(request);
  }

  /** A connection of `key` is open. */
  opened(key: Buffer): void {
    this.#policy.opened(key.toString('hex'));
  }

  /** A connection of `key` has ended. */
  closed(key: Buffer): void {
    this.#policy.closed(key.toString('hex'));
  }

  /** Name, owner, tier and usage of a key; `source` is its admission source. */
  status(connected: ConnectedKey): KeyStatus {
    return this.#policy.status(connected);
  }

  /** Whether a key has used up its bytes. */
  isOverQuota(key: string): boolean {
    return this.#policy.isOverQuota(key);
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
    ];
  }

  #tick(now: number): void {
    if (now < this.#countAt) return;
    this.#countAt = now + COUNT_MS;
    const traffic = this.#parts.relay().takeTraffic();
    const isNewDay = this.#usage.begin(dayOf(Date.now()));
    for (const { key, receivedBytes } of traffic) if (receivedBytes > 0) this.#usage.add(key, receivedBytes);
    if (isNewDay) this.#policy.review();
    else this.#policy.check(traffic.map(({ key }) => key));
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
