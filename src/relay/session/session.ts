/**
 * DERP connections. A session is one connection from upgrade to end (this file); `sessions.ts` owns all of them.
 * `frame-reader.ts` delivers the frames that rules and limits allow, `open-session.ts` handles them, `outbox.ts` holds
 * the frames to write, and `deadlines.ts` has all deadlines.
 */
import {
  encodeHealth,
  encodePeerGone,
  encodeRestarting,
  encodeServerKey,
  KEEP_ALIVE_FRAME,
  PeerGoneReason,
} from '../../wire/frames.ts';
import { encodeServerInfo } from '../../wire/handshake.ts';
import { PresentFlag } from '../../wire/mesh-frames.ts';
import { errorMessage } from '../../base/errors.ts';
import { DropReason, type PacketKind, type RefusalReason } from '../../observe/counters.ts';
import { isSameLimits, type ClientLimits } from '../fairness/client-limits.ts';
import type { Peer } from '../routing/peer.ts';
import { Delivery, type NodeKey, type Presence, type Source, type WaitingSender } from '../routing/recipient.ts';
import type { AdmissionVerdict } from './admission.ts';
import type { CloseReason, Stream, StreamHandler } from '../../transport/port.ts';
import type { SessionContext } from './context.ts';
import { SessionDeadlines, type DeadlineListener } from './deadlines.ts';
import { FrameReader, type FirstFrameReceiver } from './frame-reader.ts';
import { identify, type Identity } from './handshake.ts';
import type { Flushable } from './loop-turn.ts';
import { findMeshKey } from './mesh-key.ts';
import { type FrameOwner, OpenSession } from './open-session.ts';
import type { KeyTrafficTable } from './key-traffic.ts';
import { FlushResult, Outbox } from './outbox.ts';
import { moveTo, SessionState } from './session-state.ts';
import { Traffic, type SessionSnapshot } from './traffic.ts';

/**
 * PeerGone frames are skipped while this many bytes of control frames wait: the next packet to the missing peer causes
 * another one.
 */
const NOTICE_BACKLOG_BYTES = 32_768;
/** Write deadline of a connection with the mesh key, as upstream (§4.6): it carries the packets of many clients. */
const MESH_WRITE_DEADLINE_MS = 30_000;
/** Weight of a connection with the mesh key: it is read like this many clients. */
const MESH_WEIGHT = 16;
/** Name used instead of an admission source for connections with the mesh key. */
const BY_MESH_KEY = 'mesh';
const MESH_LIMITS: ClientLimits = {
  tier: '',
  bytesPerSecond: 0,
  burstBytes: 0,
  weight: MESH_WEIGHT,
  connections: 0,
};
/** Time limit for a refused or finished connection to take the last bytes and the FIN. */
const FINISH_MS = 2000;

/** Facts about a connection from its upgrade request. */
export interface UpgradeFacts {
  /** True when the client named another node of the region as its ideal node. */
  readonly notIdeal: boolean;
  /** True when the frames come in WebSocket messages. */
  readonly isWebSocket: boolean;
}

/**
 * One DERP connection from upgrade to end: identifies the client, asks for its admission, and then passes its packets
 * to the router and the packets for it to its stream (protocol reference §3, §4).
 */
export class Session implements StreamHandler, FirstFrameReceiver, FrameOwner, Flushable, DeadlineListener {
  readonly stream: Stream;
  readonly #context: SessionContext;
  readonly #isNotIdeal: boolean;
  readonly #isWebSocket: boolean;
  readonly #outbox: Outbox;
  readonly #reader: FrameReader;
  readonly #deadlines: SessionDeadlines;
  readonly #traffic = new Traffic();
  #state: SessionState = SessionState.Identifying;
  #peer: Peer | null = null;
  /** Null until the session is open. */
  #open: OpenSession | null = null;
  /** True while this connection is registered with the router. */
  #registered = false;
  #app = '';
  /** The mesh key that the client has shown, or null. */
  #meshKey: Buffer | null = null;
  #isProber = false;
  /** The name of the source that admitted it; empty when every client is admitted. */
  #admittedBy = '';
  /** The key's own limits; null when it has none. */
  #limits: ClientLimits | null = null;
  readonly #startedAt: number;
  /** Number of this connection in the relay, from 1. */
  readonly #number: number;
  #touched = false;
  /** When the first waiting frame was queued. */
  #waitingSince = 0;

  /** `head` is the response head that precedes the greeting, empty for Fast Start and WebSocket. */
  constructor(stream: Stream, context: SessionContext, facts: UpgradeFacts, head: string) {
    this.stream = stream;
    this.#context = context;
    this.#isNotIdeal = facts.notIdeal;
    this.#isWebSocket = facts.isWebSocket;
    this.#outbox = new Outbox(stream, context.counters, context.limits, context.space, this.#traffic);
    this.#reader = new FrameReader(stream, context, this);
    this.#deadlines = new SessionDeadlines(this, stream, this.#outbox, context);
    this.#startedAt = context.clock.now;
    this.#number = ++context.counters.accepts;
    if (facts.notIdeal) context.counters.notIdealConnections++;
    // Head and greeting are one write, as upstream does: the frame comes directly after the blank line.
    this.control(Buffer.concat([Buffer.from(head, 'latin1'), encodeServerKey(context.keyPair.publicKey)]));
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The proved node key, or null before that. */
  get key(): Buffer | null {
    return this.#peer?.key ?? null;
  }

  /** The name of the client's program; empty when it sent none or is not admitted yet. */
  get app(): string {
    return this.#app;
  }

  /** Adds the traffic since the last call to the traffic of its key. */
  takeTraffic(table: KeyTrafficTable): void {
    // The relay's own test has no source. Packets of other relays are counted where they were sent.
    if (this.#peer === null || this.#admittedBy === '' || this.#meshKey !== null) return;
    const news = this.#traffic.take();
    if (news !== null) table.add(this.#peer.key.toString('hex'), news);
  }

  /** Returns facts and counts as plain data. */
  snapshot(): SessionSnapshot {
    const { remote } = this.stream;
    return {
      number: this.#number,
      key: this.#peer?.key.toString('hex') ?? null,
      isOpen: this.#state === SessionState.Open,
      ip: remote.ip,
      port: remote.port,
      isBehindProxy: remote.isBehindProxy === true,
      isWebSocket: this.#isWebSocket,
      ageMs: this.#context.clock.now - this.#startedAt,
      app: this.#app,
      admittedBy: this.#admittedBy,
      tier: this.#limits?.tier ?? '',
      isHome: this.#open?.isHome === true,
      isMesh: this.#meshKey !== null,
      isDuplicate: (this.#peer?.size ?? 0) > 1,
      queuedBytes: this.#outbox.bytes,
      ...this.#traffic.counts(),
    };
  }

  // ---- from the stream

  bytes(_stream: Stream, buffer: Buffer, from: number, to: number): void {
    this.#reader.bytes(buffer, from, to);
  }

  writable(): void {
    this.#deadlines.unblocked();
    if (this.#outbox.bytes > 0) this.#touch();
  }

  closed(_stream: Stream, reason: CloseReason): void {
    const { counters, reporter, traffic, ended } = this.#context;
    if (this.#state === SessionState.Identifying && reason !== 'local') this.#note('handshake_closed', '');
    this.#to(SessionState.Closed);
    this.#deadlines.unblocked();
    if (this.#isNotIdeal) counters.notIdealConnections--;
    this.#open?.close();
    this.#leave();
    if (this.#peer !== null) reporter.closed(this.stream.remote, this.#peer.key, reason);
    this.#outbox.close();
    this.takeTraffic(traffic);
    ended(this);
  }

  // ---- from the frame reader

  refused(reason: RefusalReason, detail: string): void {
    this.#note(reason, detail);
    this.finish();
  }

  // ---- from the router

  presence(): Presence {
    const { ip, port } = this.stream.remote;
    const flags =
      (this.#meshKey === null ? 0 : PresentFlag.Mesh) |
      (this.#isProber ? PresentFlag.Prober : 0) |
      (this.#isNotIdeal ? PresentFlag.NotIdeal : 0);
    return { ip, port, flags: flags === 0 ? PresentFlag.Regular : flags, app: this.#app };
  }

  deliver(source: Source, _to: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    if (this.#state !== SessionState.Open) {
      this.#context.counters.drop(DropReason.GoneDisconnected, kind, to - from);
      return Delivery.Dropped;
    }
    this.#outbox.packet(source.words, buffer, from, to, kind);
    this.#touch();
    return Delivery.Taken;
  }

  /** A session is never full: its queues drop their oldest. */
  whenTaking(sender: WaitingSender): void {
    setImmediate(() => sender.sendMore());
  }

  peerGone(key: Buffer, reason: PeerGoneReason): void {
    // A slow reader is not ended because of notices that it cannot take.
    if (this.#outbox.controlBytes > NOTICE_BACKLOG_BYTES) return;
    const { counters } = this.#context;
    if (reason === PeerGoneReason.NotHere) counters.peerGoneNotHereFrames++;
    else counters.peerGoneDisconnectedFrames++;
    this.control(encodePeerGone(key, reason));
  }

  health(problem: string): void {
    this.#context.counters.healthFramesSent++;
    this.control(encodeHealth(problem));
  }

  crowdedOut(): void {
    this.refused('key_connections', 'the oldest of too many connections of this key');
  }

  closePeer(): void {
    this.refused('close_peer', 'another relay of the region asked for it');
  }

  // ---- from the server

  /** The mesh key that the client has shown, or null. */
  get meshKey(): Buffer | null {
    return this.#meshKey;
  }

  /** Tells the client that the relay restarts: when to reconnect and how long to try. */
  restarting(reconnectInMs: number, tryForMs: number): void {
    if (this.#state !== SessionState.Open) return;
    this.#context.counters.restartingFramesSent++;
    this.control(encodeRestarting(reconnectInMs, tryForMs));
  }

  /** Ends the connection in order: writes the queued frames, then FIN. */
  finish(): void {
    if (this.#isEnding) return;
    // A client that is refused in a fast start also gets the greeting, and so knows that the network works.
    this.#outbox.flush();
    // The write may have found that the stream has ended.
    if (this.#state >= SessionState.Finishing) return;
    this.#to(SessionState.Finishing);
    this.#leave();
    this.stream.finish(FINISH_MS);
  }

  /** Ends an open connection whose admission was withdrawn. */
  expel(reason: RefusalReason, detail: string): void {
    if (!this.#isEnding) this.refused(reason, detail);
  }

  /** The limits that all keys have, or the total, have changed. */
  setLimits(): void {
    if (this.#state === SessionState.Open) this.#reader.setLimits(this.#limits);
  }

  /** Other limits of its key, from now on. */
  setOwnLimits(limits: ClientLimits): void {
    if (this.#state !== SessionState.Open || this.#meshKey !== null) return;
    if (this.#limits !== null && isSameLimits(limits, this.#limits)) return;
    this.#limits = limits;
    this.#reader.setLimits(limits);
  }

  // ---- from the deadlines

  handshakeExpired(): void {
    this.refused('handshake_timeout', this.#state === SessionState.Admitting ? 'waiting for admission' : '');
  }

  writeExpired(): void {
    this.#context.counters.writeTimeouts++;
    this.#note('write_timeout', `${this.#outbox.bytes} bytes were waiting`);
    this.#abort();
  }

  keepAliveDue(): void {
    this.#context.counters.keepAlivesSent++;
    this.#outbox.shrink();
    this.control(KEEP_ALIVE_FRAME);
  }

  flush(): void {
    this.#touched = false;
    if (this.#isEnding) return;
    const { clock, counters } = this.#context;
    const isMore = this.#open?.fill() === true;
    if (this.#outbox.flush() === FlushResult.Blocked) {
      this.#deadlines.blocked();
      return;
    }
    counters.queueDelay(clock.readNow() - this.#waitingSince);
    if (isMore) this.#touch();
  }

  // ---- from its presence feed

  get controlBytes(): number {
    return this.#outbox.controlBytes;
  }

  hasMore(): void {
    this.#touch();
  }

  tooFarBehind(): void {
    this.expel('control_queue_full', 'it reads too slowly for messages about which clients connect and leave');
  }

  // ---- handshake

  clientInfo(buffer: Buffer, from: number, to: number): void {
    const { keyPair, admission, deniedApps, meshKeys } = this.#context;
    const result = identify(keyPair, buffer, from, to);
    if ('refused' in result) {
      this.refused(result.refused, '');
      return;
    }
    const { identity } = result;
    const { meshKey } = identity.info;
    if (meshKey !== null && meshKeys.length > 0) {
      this.#meshKey = findMeshKey(meshKeys, meshKey);
      // The log must not show which digits differ, but it must show the attempt.
      if (this.#meshKey !== null) this.#admitted(identity, { admitted: true, source: BY_MESH_KEY });
      else this.#refuse('mesh_key', identity.key, 'it shows another mesh key than this relay has');
      return;
    }
    if (deniedApps.has(identity.info.appName)) {
      this.#refuse('app_denied', identity.key, identity.info.appName);
      return;
    }
    const verdict = admission.admit({
      key: identity.key,
      ip: this.stream.remote.ip,
      isOver: () => this.#isEnding,
    });
    if (verdict instanceof Promise) {
      this.#to(SessionState.Admitting);
      this.#reader.awaitAdmission();
      verdict.then(
        (answer) => this.#admitted(identity, answer),
        (error: unknown) => this.#admitted(identity, { admitted: false, source: 'error', reason: errorMessage(error) }),
      );
    } else {
      this.#admitted(identity, verdict);
    }
  }

  #admitted(identity: Identity, verdict: AdmissionVerdict): void {
    if (this.#isEnding) return;
    if (!verdict.admitted) {
      this.#refuse(verdict.refusal ?? 'not_admitted', identity.key, `${verdict.source}: ${verdict.reason}`);
      return;
    }
    const isMesh = this.#meshKey !== null;
    const refusal = this.#context.mayOpen(this.stream, isMesh);
    if (refusal !== null) {
      this.#refuse(refusal.reason, identity.key, refusal.detail);
      return;
    }
    this.#admittedBy = verdict.source ?? '';
    this.#limits = isMesh ? MESH_LIMITS : (verdict.limits ?? null);
    this.#begin(identity);
  }

  #refuse(reason: RefusalReason, key: Buffer, detail: string): void {
    this.#context.reporter.refused(reason, this.stream.remote, key, detail);
    this.finish();
  }

  #begin(identity: Identity): void {
    const { router, limits, reporter } = this.#context;
    const isMesh = this.#meshKey !== null;
    const own = this.#limits;
    this.#to(SessionState.Open);
    this.#app = identity.info.appName;
    this.#isProber = identity.info.isProber;
    this.#peer = router.register(identity.key, this, isMesh ? null : (own?.connections ?? null));
    this.#registered = true;
    this.#open = new OpenSession({
      owner: this,
      peer: this.#peer,
      reader: this.#reader,
      outbox: this.#outbox,
      traffic: this.#traffic,
      isMesh,
      context: this.#context,
    });
    if (isMesh) this.#deadlines.setWriteDeadline(MESH_WRITE_DEADLINE_MS);
    const { keepAliveMs, keepAliveBehindProxyMs } = limits;
    this.#deadlines.opened(this.stream.remote.isBehindProxy === true ? keepAliveBehindProxyMs : keepAliveMs);
    const { bytesPerSecond, burstBytes } = own ?? this.#context.rate;
    this.control(
      encodeServerInfo({
        sharedKey: identity.sharedKey,
        bytesPerSecond,
        burstBytes: bytesPerSecond > 0 ? burstBytes : 0,
      }),
    );
    router.announceDuplicate(this.#peer, this);
    reporter.opened(this.stream.remote, identity.key, this.#app);
    this.#reader.admitted(identity.key, own, isMesh, this.#open);
  }

  // ---- writing, ending

  get #isEnding(): boolean {
    return this.#state >= SessionState.Finishing;
  }

  #to(next: SessionState): void {
    this.#state = moveTo(this.#state, next);
    if (next < SessionState.Finishing) return;
    this.#deadlines.stop();
    this.#reader.stop();
  }

  control(frame: Buffer): void {
    if (this.#isEnding) return;
    if (!this.#outbox.control(frame)) {
      this.#note('control_queue_full', '');
      this.#abort();
      return;
    }
    this.#touch();
  }

  #abort(): void {
    this.#to(SessionState.Finishing);
    this.stream.abort();
  }

  #touch(): void {
    if (this.#touched || this.#deadlines.isBlocked) return;
    this.#touched = true;
    this.#waitingSince = this.#context.clock.readNow();
    this.#context.turn.flushAtEnd(this);
  }

  /** From now on it gets no packets and is not counted, however long the end takes. */
  #leave(): void {
    if (!this.#registered) return;
    this.#registered = false;
    this.#context.router.unregister(this.#peer!, this);
  }

  #note(reason: RefusalReason, detail: string): void {
    this.#context.reporter.refused(reason, this.stream.remote, this.key, detail);
  }
}
