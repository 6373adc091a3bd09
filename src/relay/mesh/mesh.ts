/**
 * The other relays of the region (protocol reference §4.10). One `link.ts` for each address of each entry of
 * `mesh.with` (`addresses.ts`); `link-keys.ts` has the keys that it leads to, `link-queue.ts` the frames that wait for
 * it. The requests of other relays to this one are in `session/mesh-frames.ts`.
 */
import { CLOCK_TICK_MS, SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import { errorMessage, internalError } from '../../base/errors.ts';
import type { Counters } from '../../observe/counters.ts';
import type { Transport } from '../../transport/port.ts';
import type { NodeKeyPair } from '../../wire/keys.ts';
import { PresentFlag } from '../../wire/mesh-frames.ts';
import type { Peer } from '../routing/peer.ts';
import type { PresenceWatcher } from '../routing/presence.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';
import type { QueueSpace } from '../session/frame-queue.ts';
import type { LoopTurn } from '../session/loop-turn.ts';
import {
  findTargets,
  MOST_ADDRESSES,
  systemResolver,
  type Resolver,
  type SiblingSettings,
  type Target,
} from './addresses.ts';
import { Link, type LinkParts } from './link.ts';
import { LINK_FAILURES, LinkState, type LinkEvent, type LinkFailure, type LinkSnapshot } from './snapshot.ts';

/** Time between two look-ups of a name: while all of its links are open, and while one is not. */
const LOOK_UP_MS = 30_000;
const LOOK_UP_SOON_MS = 3000;

/** The mesh as plain data. */
export interface MeshSettings {
  /** The accepted mesh keys, 32 bytes each. This relay sends the first one. Empty: there is no mesh. */
  readonly keys: readonly Uint8Array[];
  readonly with: readonly SiblingSettings[];
  /** Authorities in addition to the system's, PEM; null: none. */
  readonly caPem: string | null;
  /** Most bytes of packets that wait for one other relay. */
  readonly queueBytes: number;
  /** Most clients that one other relay may announce; further ones cannot be reached from this relay. */
  readonly clientsPerRelay: number;
  /** The program name that this relay sends to the others: at most 32 bytes of ASCII. */
  readonly app: string;
}

export interface MeshParts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly router: Router;
  readonly counters: Counters;
  readonly turn: LoopTurn;
  readonly space: QueueSpace;
  readonly keyPair: NodeKeyPair;
  /** Longest time that a packet may wait for a link, in milliseconds. */
  readonly queueMs: number;
  readonly happened: (event: LinkEvent) => void;
  readonly resolver?: Resolver;
}

/** One entry of `mesh.with` and its links, by address. */
interface Entry {
  readonly settings: SiblingSettings;
  readonly links: Map<string, Link>;
  /** The addresses of the last look-up. */
  listed: ReadonlySet<string>;
  lookUpAt: number;
  isLookingUp: boolean;
  problem: string | null;
  failedLookUps: number;
}

/** Events after which every relay can be reached as before. */
const HARMLESS: ReadonlySet<LinkEvent['kind']> = new Set(['opened', 'self', 'duplicate', 'unused']);

const NO_FAILURES = Object.fromEntries(LINK_FAILURES.map((name) => [name, 0])) as Record<LinkFailure, number>;

/** All links of one relay, and their only owner. */
export class Mesh implements PresenceWatcher {
  readonly #parts: MeshParts;
  #settings: MeshSettings;
  #keys: readonly Buffer[];
  #entries: Entry[] = [];
  #unsubscribes: (() => void)[] = [];

  /** Connects nowhere before {@link start}. */
  constructor(settings: MeshSettings, parts: MeshParts) {
    this.#parts = parts;
    this.#settings = settings;
    this.#keys = settings.keys.map((key) => Buffer.from(key));
  }

  /** Connects to the other relays. */
  start(): void {
    const { clock, router } = this.#parts;
    this.#unsubscribes = [clock.onTick((now) => this.#tick(now), SLOW_TICK_MS), router.watch(this)];
    this.#open();
  }

  /**
   * Applies other settings. Links to relays that are still named stay open and keep their keys; other authorities count from
   * the next connection on.
   */
  apply(settings: MeshSettings): void {
    const before = this.#keys;
    this.#settings = settings;
    this.#keys = settings.keys.map((key) => Buffer.from(key));
    if (this.#unsubscribes.length === 0) return;
    const hasOtherKeys = before.length !== this.#keys.length || before.some((key, i) => !key.equals(this.#keys[i]!));
    if (hasOtherKeys) for (const link of this.#links()) link.keysChanged();
    for (const link of this.#links()) link.setQueueBytes(settings.queueBytes);
    const names = new Set(settings.with.map(({ name }) => name));
    for (const entry of this.#entries) {
      if (names.has(entry.settings.name) && this.#keys.length > 0) continue;
      for (const link of entry.links.values()) link.close();
      entry.links.clear();
    }
    this.#retryDuplicates();
    this.#open();
  }

  /** Returns the state of each link, and one for each entry that has no address. */
  snapshot(): LinkSnapshot[] {
    return this.#entries.flatMap((entry) =>
      entry.links.size === 0 ? [this.#missing(entry)] : [...entry.links.values()].map((link) => link.snapshot()),
    );
  }

  /** Closes all links permanently. */
  close(): void {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#unsubscribes = [];
    for (const link of this.#links()) link.close();
    this.#entries = [];
  }

  /** Retries the links when another relay has connected to this one. */
  present(peer: Peer, connection: Recipient): void {
    for (const link of this.#links()) {
      if (link.state !== LinkState.Waiting) continue;
      if (link.serverKey !== null && !link.serverKey.equals(peer.key)) continue;
      if ((connection.presence().flags & PresentFlag.Mesh) !== 0) link.retryNow();
    }
  }

  gone(): void {
    // Its link notices by itself.
  }

  #open(): void {
    const before = new Map(this.#entries.map((entry) => [entry.settings.name, entry]));
    const wanted = this.#keys.length === 0 ? [] : this.#settings.with;
    this.#entries = wanted.map((settings) => {
      const known = before.get(settings.name);
      return {
        settings,
        links: known?.links ?? new Map<string, Link>(),
        listed: new Set<string>(),
        lookUpAt: 0,
        isLookingUp: false,
        problem: null,
        failedLookUps: known?.failedLookUps ?? 0,
      };
    });
    this.#tick(this.#parts.clock.now);
  }

  *#links(): IterableIterator<Link> {
    for (const { links } of this.#entries) yield* links.values();
  }

  #tick(now: number): void {
    if (this.#entries.length > 0) this.#parts.clock.tickBy(now + CLOCK_TICK_MS);
    for (const entry of this.#entries) {
      if (now >= entry.lookUpAt && !entry.isLookingUp) void this.#lookUp(entry);
      for (const [address, link] of entry.links) {
        link.tick(now);
        // A relay that leaves DNS may still be ending its connections.
        const isOver = !isConnected(link.state) && link.keys.size === 0;
        if (entry.listed.has(address) || !isOver || entry.isLookingUp || entry.problem !== null) continue;
        link.close();
        entry.links.delete(address);
      }
    }
  }

  async #lookUp(entry: Entry): Promise<void> {
    entry.isLookingUp = true;
    try {
      const resolver = this.#parts.resolver ?? systemResolver;
      const { targets, unused } = await findTargets(entry.settings, this.#settings.caPem, resolver);
      entry.problem = null;
      if (this.#entries.includes(entry)) this.#found(entry, targets, unused);
    } catch (error) {
      entry.failedLookUps++;
      entry.problem = errorMessage(error);
      this.#happened({ kind: 'not_found', name: entry.settings.name, address: '', detail: entry.problem });
    }
    const isWhole = entry.problem === null && [...entry.links.values()].every(({ state }) => isSettled(state));
    entry.lookUpAt = this.#parts.clock.now + (isWhole ? LOOK_UP_MS : LOOK_UP_SOON_MS);
    entry.isLookingUp = false;
  }

  #found(entry: Entry, targets: readonly Target[], unused: string): void {
    const { settings, links } = entry;
    entry.listed = new Set(targets.map(({ address }) => address));
    // Open links to addresses that are no longer listed count too: each answer could have other addresses.
    const added = targets
      .filter(({ address }) => !links.has(address))
      .slice(0, Math.max(0, MOST_ADDRESSES - links.size));
    for (const target of targets) links.get(target.address)?.retarget(target);
    for (const target of added) links.set(target.address, new Link(target, this.#linkParts()));
    if (unused !== '') this.#happened({ kind: 'unused', name: settings.name, address: '', detail: unused });
  }

  #linkParts(): LinkParts {
    const { queueBytes, app } = this.#settings;
    return {
      ...this.#parts,
      queueBytes,
      app,
      meshKeys: () => this.#keys,
      mostKeys: () => this.#settings.clientsPerRelay,
      happened: (event) => this.#happened(event),
      isLinked: (serverKey, link) => this.#isLinked(serverKey, link),
    };
  }

  #isLinked(serverKey: Buffer, link: Link): boolean {
    for (const other of this.#links()) if (other !== link && other.isConnectedTo(serverKey)) return true;
    return false;
  }

  #happened(event: LinkEvent): void {
    // The relay of a link that is gone may be reached at another of its addresses.
    if (!HARMLESS.has(event.kind)) this.#retryDuplicates();
    try {
      this.#parts.happened(event);
    } catch (error) {
      internalError('mesh', error);
    }
  }

  #retryDuplicates(): void {
    for (const link of this.#links()) if (link.state === LinkState.Duplicate) link.retryNow();
  }

  #missing({ settings, problem, failedLookUps }: Entry): LinkSnapshot {
    return {
      name: settings.name,
      address: '',
      state: LinkState.Waiting,
      ageMs: 0,
      serverKey: null,
      roundTripMs: null,
      keys: 0,
      refusedKeys: 0,
      queuedBytes: 0,
      ...{ sentPackets: 0, sentBytes: 0, droppedPackets: 0, droppedBytes: 0 },
      connects: 0,
      failures: { ...NO_FAILURES, not_found: failedLookUps },
      problem,
    };
  }
}

function isConnected(state: LinkState): boolean {
  return state === LinkState.Open || state === LinkState.Connecting;
}

function isSettled(state: LinkState): boolean {
  return state === LinkState.Open || state === LinkState.Self || state === LinkState.Duplicate;
}
