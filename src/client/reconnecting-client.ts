import { connectDerp } from './connect.ts';
import type { DerpClient } from './derp-client.ts';
import { closedError } from './errors.ts';
import type { DerpClientHandler, DerpClientOptions } from './options.ts';

const BACKOFF_STEP_MS = 10;
const MAX_BACKOFF_MS = 5000;

/** How long to wait after `failures` failures in a row: n² · 10 ms, at most 5 s, times a random 0.5 to 1.5 (§8.4). */
export function backoffMs(failures: number, random: number): number {
  return Math.min(failures * failures * BACKOFF_STEP_MS, MAX_BACKOFF_MS) * (0.5 + random);
}

/** Told how the connection comes and goes. */
export interface ReconnectHandler {
  /** A connection is open. */
  connected?(client: DerpClient): void;
  /** A connect failed or a connection was lost; the next try starts in `retryInMs`. */
  disconnected?(error: unknown, retryInMs: number): void;
}

/** Keeps one connection to a relay until {@link stop}: reconnects with a growing pause. */
export class ReconnectingClient {
  readonly #options: DerpClientOptions;
  readonly #handler: ReconnectHandler;
  readonly #random: () => number;
  #client: DerpClient | null = null;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Starts connecting at once. `random` is 0 to 1, for tests. */
  constructor(options: DerpClientOptions, handler: ReconnectHandler, random: () => number = Math.random) {
    this.#options = options;
    this.#handler = handler;
    this.#random = random;
    void this.#connect();
  }

  /** The open connection, or null while there is none. */
  get client(): DerpClient | null {
    return this.#client;
  }

  /** Closes the connection and reconnects no more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#client?.close();
  }

  async #connect(): Promise<void> {
    try {
      const client = await connectDerp({ ...this.#options, handler: this.#watching(this.#options.handler ?? {}) });
      if (this.#stopped) {
        client.close();
      } else if (client.isOpen) {
        this.#client = client;
        this.#failures = 0;
        this.#handler.connected?.(client);
      } else {
        // Lost between ServerInfo and here, before anybody could see it open.
        this.#lost(closedError('reset'));
      }
    } catch (error) {
      this.#lost(error);
    }
  }

  /** The caller's handler, with the end of the connection noticed here first. */
  #watching(handler: DerpClientHandler): DerpClientHandler {
    return {
      packet: (source, buffer, from, to) => handler.packet?.(source, buffer, from, to),
      peerGone: (key, reason) => handler.peerGone?.(key, reason),
      peerPresent: (key, payload) => handler.peerPresent?.(key, payload),
      health: (problem) => handler.health?.(problem),
      restarting: (reconnectInMs, tryForMs) => handler.restarting?.(reconnectInMs, tryForMs),
      drained: () => handler.drained?.(),
      closed: (error) => {
        if (this.#client !== null) this.#lost(error ?? closedError('local'));
        handler.closed?.(error);
      },
    };
  }

  #lost(error: unknown): void {
    this.#client = null;
    if (this.#stopped) return;
    this.#failures++;
    const retryInMs = backoffMs(this.#failures, this.#random());
    this.#timer = setTimeout(() => void this.#connect(), retryInMs);
    this.#handler.disconnected?.(error, retryInMs);
  }
}
