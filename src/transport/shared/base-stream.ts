import { internalError } from '../../base/errors.ts';
import type { CloseReason, ConnectionHandler, Endpoint, Stream, StreamHandler, TlsFacts } from '../port.ts';
import { FinishDeadline } from './finish-deadline.ts';

/** The life of a stream, in this order. */
export const Phase = { Open: 0, Finishing: 1, Aborted: 2, Closed: 3 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

const NOBODY: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** Most bytes that a reader gets in one call, as with Node. */
export const LARGEST_READ_BYTES = 65_536;

/** Facts of a stream besides its socket. */
export interface StreamFacts {
  readonly remote: Endpoint;
  readonly tls: TlsFacts | null;
  /** Is called when the stream has ended; null on the client side. */
  readonly connection: ConnectionHandler | null;
}

/**
 * The common part of the streams of both runtimes: how they end, and how they keep bytes that the runtime had already
 * decrypted when the reader paused. The adapters add reading and writing.
 */
export abstract class BaseStream implements Stream {
  remote: Endpoint;
  readonly tls: TlsFacts | null;
  readonly connection: ConnectionHandler | null;
  handler: StreamHandler = NOBODY;
  protected phase: Phase = Phase.Open;
  /** Why it ends; null until that is known. */
  protected reason: CloseReason | null = null;
  protected isPaused = false;
  /** Bytes that came while the reader was paused. */
  protected held: Buffer[] | null = null;
  protected isDelivering = false;
  /** The descriptor is gone. */
  protected isSocketClosed = false;
  /** Of {@link finish}. */
  #deadline: FinishDeadline | null = null;

  constructor({ remote, tls, connection }: StreamFacts) {
    this.remote = remote;
    this.tls = tls;
    this.connection = connection;
  }

  abstract get local(): Endpoint;
  abstract get peer(): Endpoint;
  abstract write(buffer: Buffer, from: number, to: number): number;
  abstract pause(how?: 'soft'): void;
  abstract resume(): void;

  finish(deadlineMs: number): void {
    if (this.phase !== Phase.Open) return;
    this.phase = Phase.Finishing;
    this.held = null;
    if (this.isSocketClosed) {
      process.nextTick(reportClosed, this);
      return;
    }
    this.#deadline = new FinishDeadline(this, deadlineMs, () => this.terminate('deadline'));
    this.endSocket();
  }

  abort(): void {
    this.terminate('local');
  }

  protected terminate(reason: CloseReason): void {
    if (this.phase >= Phase.Aborted) return;
    this.phase = Phase.Aborted;
    this.reason ??= reason;
    this.held = null;
    this.#deadline?.stop();
    if (this.isSocketClosed) process.nextTick(reportClosed, this);
    else this.resetSocket();
  }

  /** Gives bytes to the reader. An exception is a bug, which ends this connection and no other. */
  protected deliver(buffer: Buffer, from: number, to: number): void {
    try {
      this.handler.bytes(this, buffer, from, to);
    } catch (error) {
      internalError('socket', error);
      this.terminate('local');
    }
  }

  /** Delivers the held bytes, then lets the socket go on. */
  deliverHeld(): void {
    if (this.isDelivering) return;
    this.isDelivering = true;
    while (!this.isPaused && this.phase === Phase.Open && this.held !== null) {
      const next = this.held.shift();
      if (next === undefined) {
        this.held = null;
      } else {
        const to = Math.min(next.length, LARGEST_READ_BYTES);
        if (to < next.length) this.held.unshift(next.subarray(to));
        this.deliver(next, 0, to);
      }
    }
    this.isDelivering = false;
    if (this.isPaused || this.phase !== Phase.Open) return;
    if (this.isSocketClosed) this.reportClosed();
    else this.goOn();
  }

  /** Reports once that the stream has ended. */
  reportClosed(): void {
    if (this.phase === Phase.Closed) return;
    const reason = this.reason ?? (this.phase === Phase.Open ? 'reset' : 'local');
    this.phase = Phase.Closed;
    this.#deadline?.stop();
    this.handler.closed(this, reason);
    this.connection?.released();
  }

  /** All that was held is delivered: the socket may be read again. */
  protected abstract goOn(): void;

  /**
   * Sends what was taken, then FIN. Bytes of the peer are still read, and dropped: otherwise its FIN could not be seen.
   */
  protected abstract endSocket(): void;

  /** Ends the connection with a reset. */
  protected abstract resetSocket(): void;
}

/** For `setImmediate`: one function for all streams instead of a closure for each. */
export function deliverHeld(stream: BaseStream): void {
  stream.deliverHeld();
}

/** For `process.nextTick`. */
export function reportClosed(stream: BaseStream): void {
  stream.reportClosed();
}
