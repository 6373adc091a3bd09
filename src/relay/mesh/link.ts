import type { Clock } from '../../base/clock.ts';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { connectDerp } from '../../client/connect.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import type { DerpClientHandler } from '../../client/options.ts';
import type { Counters } from '../../observe/counters.ts';
import type { Transport } from '../../transport/port.ts';
import { KEY_BYTES } from '../../wire/frames.ts';
import type { NodeKeyPair } from '../../wire/keys.ts';
import { WATCH_CONNS_FRAME } from '../../wire/mesh-frames.ts';
import { Delivery, type Forwarder, type NodeKey, type Source, type WaitingSender } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';
import type { QueueSpace } from '../session/frame-queue.ts';
import type { Flushable, LoopTurn, Reader } from '../session/loop-turn.ts';
import type { Target } from './addresses.ts';
import { LinkKeys } from './link-keys.ts';
import { LinkQueue } from './link-queue.ts';
import { LINK_FAILURES, LinkState, type LinkEvent, type LinkFailure, type LinkSnapshot } from './snapshot.ts';

/** Longest time of one attempt to connect, from DNS to ServerInfo. */
const CONNECT_MS = 10_000;
/** The pause after the first failure, doubled with each further one up to the longest, times a random 0.5 to 1.5. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;
/** The pause after the other relay refused our mesh key, which only a person can solve. */
const REFUSED_PAUSE_MS = 5000;
/** A link that was open for this time starts again with the first pause. */
const STEADY_MS = 5000;
const PING_EVERY_MS = 5000;
/** A relay that has answered no Ping for this time has left, or cannot be used. */
const PING_TIMEOUT_MS = 15_000;
/** Longest time that the other relay may take no bytes while some wait for it (protocol reference §4.6). */
const WRITE_DEADLINE_MS = 30_000;
/**
 * Keys after which reading pauses until the next turn of the event loop: about 2 ms of work. One read may bring more.
 */
const KEYS_PER_TURN = 500;

/** What all links share. */
export interface LinkParts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly router: Router;
  readonly counters: Counters;
  readonly turn: LoopTurn;
  readonly space: QueueSpace;
  readonly keyPair: NodeKeyPair;
  /** Most bytes of packets that wait for one link. */
  readonly queueBytes: number;
  /** This relay's program name, which it sends to the others. */
  readonly app: string;
  /** Longest time that a packet may wait, in milliseconds. */
  readonly queueMs: number;
  /** Most keys that one link leads to. */
  readonly mostKeys: () => number;
  /** Our mesh keys. The link sends the first one, and the next one after a refusal. */
  readonly meshKeys: () => readonly Buffer[];
  readonly happened: (event: LinkEvent) => void;
  /** Returns whether another link is open to the relay with this key. */
  readonly isLinked: (serverKey: Buffer, link: Link) => boolean;
}

/**
 * The link to one other relay of the region: a DERP client that watches which clients are connected there and forwards
 * packets to them (protocol reference §4.10, §8.7). Its keys and packets outlive its connection for a limited time.
 */
export class Link implements Forwarder, Flushable, Reader {
  #target: Target;
  readonly keys: LinkKeys;
  readonly #parts: LinkParts;
  readonly #queue: LinkQueue;
  readonly #failures = Object.fromEntries(LINK_FAILURES.map((name) => [name, 0])) as Record<LinkFailure, number>;
  readonly #handler: DerpClientHandler;
  #state: LinkState = LinkState.Waiting;
  #since: number;
  #client: DerpClient | null = null;
  #serverKey: Buffer | null = null;
  /** The other relay has reported a peer, which it does only for its mesh key. */
  #isTrusted = false;
  /** On this connection, the log already says that keys were refused. */
  #hasToldOfRefusal = false;
  #keyIndex = 0;
  #attempts = 0;
  /** Connections in a row that the other relay closed before it reported any client. */
  #earlyEnds = 0;
  #connects = 0;
  #retryAt = 0;
  #problem: string | null = null;
  #roundTripMs: number | null = null;
  #pingAt = 0;
  #isPinging = false;
  #isTouched = false;
  /** Keys that the other relay has reported since the last pause. */
  #keysInTurn = 0;
  /** When the other relay last took bytes, and how many it had taken until then. */
  #movedAt = 0;
  #movedBytes = 0;
  #agedAt = 0;

  /** Connects at the first tick. */
  constructor(target: Target, parts: LinkParts) {
    this.#target = target;
    this.#parts = parts;
    this.#since = parts.clock.now;
    this.#queue = new LinkQueue(parts.queueBytes, parts.space, parts.counters);
    this.keys = new LinkKeys(this, parts.router, parts.mostKeys);
    this.#handler = {
      peerPresent: (buffer, keyAt) => this.#present(buffer, keyAt),
      peerGone: (key) => this.keys.gone(key, 0),
    };
  }

  /** Sets how many bytes of packets may wait. */
  setQueueBytes(bytes: number): void {
    this.#queue.setLimit(bytes);
  }

  /** Connects to `target` from the next attempt on: the same address, perhaps with other authorities. */
  retarget(target: Target): void {
    this.#target = target;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** True while packets can be sent. */
  get isUp(): boolean {
    return this.#state === LinkState.Open;
  }

  /** The node key of the other relay; null before it was ever reached. */
  get serverKey(): Buffer | null {
    return this.#serverKey;
  }

  /** Returns whether its connection leads to the relay with this key. */
  isConnectedTo(serverKey: Buffer): boolean {
    return this.#client !== null && this.#serverKey?.equals(serverKey) === true;
  }

  snapshot(): LinkSnapshot {
    const { sentPackets, sentBytes, droppedPackets, droppedBytes, pendingBytes } = this.#queue;
    return {
      name: this.#target.name,
      address: this.#target.address,
      state: this.#state,
      ageMs: this.#parts.clock.now - this.#since,
      serverKey: this.#serverKey?.toString('hex') ?? null,
      roundTripMs: this.#roundTripMs,
      keys: this.keys.size,
      refusedKeys: this.keys.refused,
      queuedBytes: pendingBytes,
      ...{ sentPackets, sentBytes, droppedPackets, droppedBytes },
      connects: this.#connects,
      failures: { ...this.#failures },
      problem: this.#problem,
    };
  }

  // ---- from the router

  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number): Delivery {
    this.#queue.forward(source.words, destination.words, buffer, from, to);
    if (this.#client !== null && !this.#isTouched) {
      this.#isTouched = true;
      this.#parts.turn.flushAtEnd(this);
    }
    return Delivery.Taken;
  }

  /** A link is never full: its queue drops the oldest. */
  whenTaking(sender: WaitingSender): void {
    setImmediate(() => sender.sendMore());
  }

  flush(): void {
    this.#isTouched = false;
    this.#client?.flush();
  }

  resumeReading(): number {
    this.#keysInTurn = 0;
    this.#client?.resume();
    return 0;
  }

  // ---- from the mesh

  /** Connects at the next tick instead of after the pause, because the other relay may be reachable again. */
  retryNow(): void {
    if (this.#state === LinkState.Duplicate) this.#to(LinkState.Waiting);
    this.#retryAt = 0;
    this.#attempts = 0;
  }

  /** Our mesh keys have changed: what another relay thought of the earlier ones says nothing any more. */
  keysChanged(): void {
    this.#keyIndex = 0;
    this.#earlyEnds = 0;
    if (this.#state === LinkState.Waiting) this.retryNow();
  }

  /** Closes the link permanently: the target is no longer in the configuration. */
  close(): void {
    this.#to(LinkState.Closed);
    this.#disconnect();
    this.#queue.close();
    this.keys.close();
  }

  /**
   * Connects when the pause is over, checks the connection, and drops packets that are too old. `now` in milliseconds.
   */
  tick(now: number): void {
    if (this.#client !== null) this.#watch(this.#client, now);
    else if (this.#state === LinkState.Waiting && now >= this.#retryAt) this.#connect();
    this.keys.tick(now, this.isUp);
    if (now < this.#agedAt) return;
    // Twice per `queueMs`, so that no packet waits for longer.
    this.#agedAt = now + this.#parts.queueMs / 2;
    this.#queue.dropAged();
  }

  // ---- the connection

  #connect(): void {
    this.#to(LinkState.Connecting);
    const { url, ip, serverName, verify } = this.#target;
    const { clock, transport, keyPair, meshKeys } = this.#parts;
    const keys = meshKeys();
    const meshKey = keys[this.#keyIndex % keys.length] ?? null;
    connectDerp({
      ...{ transport, clock, url, ipOverride: ip, serverName, verify },
      keys: keyPair,
      info: { meshKey, appName: this.#parts.app },
      // Distinguishes a refused key from a failed connection.
      fastStart: false,
      timeoutMs: CONNECT_MS,
      outgoing: this.#queue,
      handler: { ...this.#handler, closed: (error) => this.#closed(error) },
    }).then(
      (client) => this.#opened(client),
      (error: unknown) => this.#refused(error),
    );
  }

  #opened(client: DerpClient): void {
    const { clock, keyPair, isLinked } = this.#parts;
    const { serverKey } = client.facts;
    if (this.#state !== LinkState.Connecting) {
      client.abort();
      return;
    }
    this.#serverKey = serverKey;
    if (!client.isOpen) {
      this.#failed('closed', 'the connection ended at once');
      return;
    }
    if (serverKey.equals(keyPair.publicKey)) {
      client.handler = {};
      client.abort();
      this.#to(LinkState.Self);
      this.#happened(
        'self',
        'it has our node key: this is the relay itself, or another one with a copy of its keyFile',
      );
      return;
    }
    if (isLinked(serverKey, this)) {
      client.handler = {};
      client.abort();
      this.#to(LinkState.Duplicate);
      this.#happened('duplicate', 'another link leads to this relay already');
      return;
    }
    this.#client = client;
    this.#connects++;
    this.#isTrusted = this.#isPinging = this.#hasToldOfRefusal = false;
    this.#movedAt = clock.now;
    this.#pingAt = 0;
    client.sendFrame(WATCH_CONNS_FRAME);
  }

  #refused(error: unknown): void {
    if (this.#state !== LinkState.Connecting) return;
    if (hasCode(error, 'TOWPATH_CLIENT_REFUSED')) this.#endedEarly();
    else this.#failed('unreachable', errorMessage(error));
  }

  #present(buffer: Buffer, keyAt: number): void {
    const { keyPair, clock, mostKeys } = this.#parts;
    if (!this.#isTrusted) this.#trusted();
    if (++this.#keysInTurn === KEYS_PER_TURN) this.#pause();
    if (buffer.compare(keyPair.publicKey, 0, KEY_BYTES, keyAt, keyAt + KEY_BYTES) === 0) return;
    if (this.keys.present(buffer, keyAt, clock.now) || this.#hasToldOfRefusal) return;
    this.#hasToldOfRefusal = true;
    this.#happened(
      'unused',
      `it reports more than ${mostKeys()} clients (mesh.clientsPerRelay); clients of this relay do not reach the rest of them`,
    );
  }

  /** Reads on in the next turn: a relay with many clients must not hold up those of this one. */
  #pause(): void {
    // In this order: see `FrameReader.bytes`.
    this.#parts.turn.resumeAtEnd(this);
    this.#client?.pause();
  }

  /** Called when the other relay has accepted our mesh key. */
  #trusted(): void {
    this.#isTrusted = true;
    this.#earlyEnds = 0;
    this.#problem = null;
    this.keys.connected(this.#parts.clock.now);
    this.#to(LinkState.Open);
    this.#happened('opened', '');
    this.flush();
  }

  #closed(error: TowpathError | null): void {
    if (this.#client === null) return;
    // Upstream does not answer a client whose mesh key it does not accept: it closes the connection when the client
    // uses the key.
    if (this.#isTrusted || hasCode(error, 'TOWPATH_CLIENT_FRAME')) this.#failed('closed', errorMessage(error));
    else this.#endedEarly();
  }

  /** Handles a connection that the other relay has closed before it reported any client. */
  #endedEarly(): void {
    this.#keyIndex++;
    // A relay that is ending does the same, and is back soon. Only a second time in a row is a refusal.
    if (this.#earlyEnds++ === 0) this.#failed('closed', 'the connection ended before the first message');
    else this.#failed('refused_key', 'it does not accept our mesh key: both relays need the same one (mesh.keyFile)');
  }

  #failed(reason: LinkFailure, detail: string): void {
    const { clock } = this.#parts;
    this.#disconnect();
    if (this.#state === LinkState.Open && clock.now - this.#since >= STEADY_MS) this.#attempts = 0;
    this.#failures[reason]++;
    this.#problem = detail;
    const pauseMs =
      reason === 'refused_key'
        ? REFUSED_PAUSE_MS
        : Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.#attempts++, 10), LONGEST_PAUSE_MS);
    this.#retryAt = clock.now + pauseMs * (0.5 + Math.random());
    this.#to(LinkState.Waiting);
    this.#happened(reason, detail);
  }

  #disconnect(): void {
    const client = this.#client;
    this.#client = null;
    this.#roundTripMs = null;
    if (client !== null) {
      if (this.#isTrusted) this.keys.disconnected(this.#parts.clock.now);
      client.abort();
    }
    this.#queue.disconnected();
  }

  /** Checks whether the other relay still answers. */
  #watch(client: DerpClient, now: number): void {
    if (!this.#isTrusted && now - this.#since >= CONNECT_MS) {
      this.#failed('silent', 'it sends nothing about its clients');
      return;
    }
    const { writtenBytes, pendingBytes } = this.#queue;
    if (writtenBytes !== this.#movedBytes || pendingBytes === 0) {
      this.#movedBytes = writtenBytes;
      this.#movedAt = now;
    } else if (now - this.#movedAt >= WRITE_DEADLINE_MS) {
      this.#failed('stuck', `it has read nothing for ${WRITE_DEADLINE_MS / 1000} s`);
      return;
    }
    if (now < this.#pingAt || this.#isPinging) return;
    this.#pingAt = now + PING_EVERY_MS;
    this.#isPinging = true;
    client.ping(PING_TIMEOUT_MS).then(
      (ms) => this.#answered(client, ms),
      (error: unknown) => this.#unanswered(client, error),
    );
  }

  #answered(client: DerpClient, roundTripMs: number): void {
    if (client !== this.#client) return;
    this.#isPinging = false;
    this.#roundTripMs = roundTripMs;
  }

  #unanswered(client: DerpClient, error: unknown): void {
    if (client === this.#client) this.#failed('silent', errorMessage(error));
  }

  #to(state: LinkState): void {
    if (this.#state === LinkState.Closed || this.#state === state) return;
    this.#state = state;
    this.#since = this.#parts.clock.now;
  }

  #happened(kind: LinkEvent['kind'], detail: string): void {
    const { name, address } = this.#target;
    this.#parts.happened({ kind, name, address, detail });
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof TowpathError && error.code === code;
}
