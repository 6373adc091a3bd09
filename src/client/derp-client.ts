/**
 * A DERP client, used by the self-test, the tools and the tests. `connect.ts` opens a connection (DNS, TCP, TLS, upgrade,
 * handshake), and this file is the open connection.
 */
import { TowpathError } from '../base/errors.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Stream } from '../transport/port.ts';
import { encodeNotePreferred, encodePing, encodePong, SEND_PACKET_OVERHEAD_BYTES } from '../wire/client-frames.ts';
import { HeaderVerdict } from '../wire/frame-decoder.ts';
import {
  FRAME_HEADER_BYTES,
  FrameType,
  KEY_BYTES,
  MAX_CLIENT_FRAME_BYTES,
  MAX_PACKET_BYTES,
  PING_BYTES,
} from '../wire/frames.ts';
import type { Clock } from '../base/clock.ts';
import { closedError, frameError, timeoutError } from './errors.ts';
import type { FrameStream } from './frame-stream.ts';
import type { DerpClientHandler, DerpConnectFacts } from './options.ts';
import type { OutgoingFrames } from './outgoing.ts';
import { PendingPings } from './pending-pings.ts';

/** A relay sends a KeepAlive every 60 to 65 s, so silence for this long means that it is gone (§2.4). */
const READ_TIMEOUT_MS = 120_000;
/** How long a closing client waits for the relay's own close. */
const CLOSE_DEADLINE_MS = 2000;

/** Payloads shorter than this are dropped unread (§2.2, §2.4); types that are not here are skipped. */
const MIN_PAYLOAD_BYTES = new Map<number, number>([
  [FrameType.RecvPacket, KEY_BYTES],
  [FrameType.PeerGone, KEY_BYTES],
  [FrameType.PeerPresent, KEY_BYTES],
  [FrameType.Ping, PING_BYTES],
  [FrameType.Pong, PING_BYTES],
  [FrameType.Health, 0],
  [FrameType.Restarting, 8],
]);

/** An open connection to a relay; {@link connectDerp} makes it. */
export class DerpClient {
  /** Receives the events; may be replaced at any time. */
  handler: DerpClientHandler;
  /** This client's public key. */
  readonly publicKey: Buffer;
  readonly facts: DerpConnectFacts;
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #outgoing: OutgoingFrames;
  /**
   * The limit that the relay announced in ServerInfo (§8.6). A packet over it is dropped, never delayed. Null means no
   * limit.
   */
  readonly #budget: TokenBucket | null;
  readonly #pings = new PendingPings();
  readonly #frames: FrameStream;
  readonly #stopTicks: () => void;
  #heardAtMs: number;
  #isOpen = true;
  #leaveByMs = 0;
  #isCorked = false;
  #refusedSend = false;
  #limitedPackets = 0;

  constructor(parts: {
    readonly stream: Stream;
    readonly frames: FrameStream;
    readonly clock: Clock;
    readonly publicKey: Buffer;
    readonly facts: DerpConnectFacts;
    readonly outgoing: OutgoingFrames;
    readonly handler: DerpClientHandler;
  }) {
    const { stream, clock, facts } = parts;
    this.#stream = stream;
    this.#clock = clock;
    this.publicKey = parts.publicKey;
    this.facts = facts;
    this.handler = parts.handler;
    this.#outgoing = parts.outgoing;
    const { bytesPerSecond, burstBytes } = facts.serverInfo;
    this.#budget = bytesPerSecond > 0 ? new TokenBucket(bytesPerSecond, burstBytes, performance.now()) : null;
    this.#frames = parts.frames;
    this.#frames.sink = {
      header: (type, payloadBytes) => this.#header(type, payloadBytes),
      frame: (type, buffer, from, to) => this.#frame(type, buffer, from + FRAME_HEADER_BYTES, to),
    };
    this.#heardAtMs = clock.now;
    this.#stopTicks = clock.onTick((now) => this.#tick(now));
    stream.handler = {
      bytes: (_stream, buffer, from, to) => this.#frames.push(buffer, from, to),
      writable: () => this.#writable(),
      closed: (_stream, reason) => {
        this.#stopTicks();
        this.#closed(closedError(reason));
      },
    };
  }

  /** False once the connection is gone. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Packets dropped here because the relay announced a limit (§8.6). */
  get limitedPackets(): number {
    return this.#limitedPackets;
  }

  /** Bytes that wait to be written. */
  get pendingBytes(): number {
    return this.#outgoing.pendingBytes;
  }

  /**
   * Sends a packet to a node. False when the queue is full (`drained` follows) or the connection is gone. A packet over
   * the limit that the relay announced is dropped without an error, as the protocol requires, and counted.
   */
  send(destination: Uint8Array, packet: Uint8Array): boolean {
    if (packet.length > MAX_PACKET_BYTES) {
      throw new TowpathError('TOWPATH_CLIENT_PACKET', `a packet has more than ${MAX_PACKET_BYTES} bytes`);
    }
    if (!this.#isOpen) return false;
    const bytes = SEND_PACKET_OVERHEAD_BYTES + packet.length;
    const outgoing = this.#outgoing;
    if (!outgoing.reserve(bytes)) return this.#refuse();
    if (this.#budget === null || this.#budget.take(bytes, performance.now()) === 0) {
      outgoing.addPacket(destination, packet);
      if (!this.#isCorked) outgoing.flush(this.#stream);
    } else {
      this.#limitedPackets++;
    }
    return true;
  }

  /** Sends a whole frame unchanged: for mesh frames, and for tests with invalid frames. */
  sendFrame(frame: Uint8Array): boolean {
    if (!this.#isOpen) return false;
    if (!this.#outgoing.add(frame)) return this.#refuse();
    if (!this.#isCorked) this.#outgoing.flush(this.#stream);
    return true;
  }

  /** Writes the frames that the caller has added to its own {@link OutgoingFrames}. */
  flush(): void {
    if (this.#isOpen) this.#outgoing.flush(this.#stream);
  }

  /** Tells the relay whether it is the client's home. */
  notePreferred(home: boolean): boolean {
    return this.sendFrame(encodeNotePreferred(home));
  }

  /** Collects the frames that are sent from now on, for one write in {@link uncork}. */
  cork(): void {
    this.#isCorked = true;
  }

  /** Writes the collected frames. Later frames are written one by one again. */
  uncork(): void {
    this.#isCorked = false;
    this.#outgoing.flush(this.#stream);
    // A stream that took everything does not call `writable`. Deferred, because `drained` may send again.
    if (this.#refusedSend) setImmediate(() => this.#writable());
  }

  /**
   * Sends a Ping and returns its round trip in milliseconds. Rejects after `timeoutMs` and when the connection ends.
   */
  ping(timeoutMs = 5000): Promise<number> {
    if (!this.#isOpen) return Promise.reject(closedError('local'));
    const { data, answered } = this.#pings.start(timeoutMs);
    this.sendFrame(encodePing(data));
    return answered;
  }

  /** Stops reading. The relay's bytes then wait in the kernels on the path. */
  pause(): void {
    this.#stream.pause();
  }

  /** Reads again after {@link pause}. */
  resume(): void {
    // The relay was not silent: this client did not read.
    this.#heardAtMs = this.#clock.now;
    this.#stream.resume();
  }

  /** Ends the connection. Waiting frames are still written; `closed(null)` is called at once. */
  close(): void {
    if (!this.#isOpen) return;
    this.#leaveByMs = this.#clock.now + CLOSE_DEADLINE_MS;
    this.#closed(null);
    this.#leave();
  }

  /** Resets the connection, as a crash would. */
  abort(): void {
    if (!this.#isOpen) return;
    this.#stopTicks();
    this.#stream.abort();
    this.#closed(null);
  }

  /** Closes the connection once all waiting frames are written. */
  #leave(): void {
    this.#outgoing.flush(this.#stream);
    if (this.#outgoing.pendingBytes > 0) return;
    this.#stopTicks();
    this.#stream.finish(CLOSE_DEADLINE_MS);
  }

  #refuse(): false {
    this.#refusedSend = true;
    return false;
  }

  #writable(): void {
    if (!this.#isOpen) {
      this.#leave();
      return;
    }
    this.#outgoing.flush(this.#stream);
    if (!this.#refusedSend || this.#outgoing.pendingBytes > 0) return;
    this.#refusedSend = false;
    this.handler.drained?.();
  }

  #tick(now: number): void {
    if (!this.#isOpen) {
      if (now <= this.#leaveByMs) return;
      this.#stopTicks();
      this.#stream.abort();
      return;
    }
    this.#pings.expire();
    if (now - this.#heardAtMs > READ_TIMEOUT_MS) this.#fail(timeoutError('a frame of the relay', READ_TIMEOUT_MS));
  }

  #fail(error: TowpathError): void {
    if (!this.#isOpen) return;
    this.#stopTicks();
    this.#stream.abort();
    this.#closed(error);
  }

  #closed(error: TowpathError | null): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#frames.stop();
    this.#pings.fail(error ?? closedError('local'));
    this.handler.closed?.(error);
  }

  #header(type: number, payloadBytes: number): HeaderVerdict {
    this.#heardAtMs = this.#clock.now;
    if (payloadBytes > MAX_CLIENT_FRAME_BYTES) {
      this.#fail(frameError(`a frame of ${payloadBytes} bytes`));
      return HeaderVerdict.Stop;
    }
    const least = MIN_PAYLOAD_BYTES.get(type);
    return least === undefined || payloadBytes < least ? HeaderVerdict.Skip : HeaderVerdict.Take;
  }

  #frame(type: number, buffer: Buffer, from: number, to: number): void {
    const handler = this.handler;
    const afterKey = from + KEY_BYTES;
    switch (type) {
      case FrameType.RecvPacket:
        handler.packet?.(buffer.subarray(from, afterKey), buffer, afterKey, to);
        break;
      case FrameType.Ping:
        this.sendFrame(encodePong(buffer.subarray(from, to)));
        break;
      case FrameType.Pong:
        this.#pings.answer(buffer, from);
        break;
      case FrameType.PeerGone:
        handler.peerGone?.(buffer.subarray(from, afterKey), afterKey < to ? buffer[afterKey]! : 0);
        break;
      case FrameType.PeerPresent:
        handler.peerPresent?.(buffer, from, to);
        break;
      case FrameType.Health:
        handler.health?.(buffer.toString('utf8', from, to));
        break;
      default:
        handler.restarting?.(buffer.readUInt32BE(from), buffer.readUInt32BE(from + 4));
    }
  }
}
