import { GatheredBytes } from '../../wire/gathered-bytes.ts';
import { parseProxyHeader } from '../../wire/proxy-header.ts';
import { deadlines, type Expiring } from '../../base/deadlines.ts';
import type { Endpoint } from '../port.ts';

/** Receives the result of reading a PROXY header. */
export interface PrefaceHandler {
  /**
   * The header is read; `rest` has the bytes after it, or is null. A null source: the connection is the proxy's own.
   */
  announced(source: Endpoint | null, rest: Buffer | null): void;
  /**
   * There is no valid header, and the socket is closed. Not called for a peer that closes without sending, as probes
   * do.
   */
  failed(detail: string): void;
}

/** Reads the PROXY header with which a trusted proxy starts each connection. An adapter adds the socket. */
export abstract class ProxyPreface implements Expiring {
  readonly #handler: PrefaceHandler;
  readonly #received = new GatheredBytes();
  #isOver = false;

  constructor(timeoutMs: number, handler: PrefaceHandler) {
    this.#handler = handler;
    deadlines.add(this, timeoutMs);
  }

  /** Takes bytes that the socket has read. The buffer must not be written to afterwards. */
  received(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#received.addOwned(chunk);
    const received = this.#received.bytes;
    const header = parseProxyHeader(received, 0, received.length);
    if (header.kind === 'more') return;
    if (header.kind === 'invalid') {
      this.#fail(header.detail);
      return;
    }
    this.#end();
    this.#handler.announced(header.source, header.bytes < received.length ? received.subarray(header.bytes) : null);
  }

  /** The descriptor is gone. */
  closed(): void {
    if (this.#isOver) return;
    this.#end();
    if (this.#received.length > 0) this.#handler.failed('the connection was closed within the PROXY header');
  }

  expired(): void {
    this.#fail('no whole PROXY header in time');
  }

  /** Ends the connection with a reset. */
  protected abstract reset(): void;

  /** The preface needs no more bytes of the socket. */
  protected abstract leave(): void;

  #fail(detail: string): void {
    this.#end();
    this.reset();
    this.#handler.failed(detail);
  }

  #end(): void {
    this.#isOver = true;
    deadlines.delete(this);
    this.leave();
  }
}
