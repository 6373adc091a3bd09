import type { Socket } from 'node:net';
import { GatheredBytes } from '../../wire/gathered-bytes.ts';
import { parseProxyHeader } from '../../wire/proxy-header.ts';
import { deadlines } from '../../base/deadlines.ts';
import type { Endpoint } from '../port.ts';

interface PrefaceHandler {
  /** The header is read, what came after it is in the socket again; null: the proxy speaks for itself. */
  announced(source: Endpoint | null): void;
  /** There is no valid header; the socket is gone. Not called for a peer that closes without a word, as probes do. */
  failed(detail: string): void;
}

const PREFACE = Symbol('preface');
type PrefacedSocket = Socket & { [PREFACE]: Preface };

/** Reads the PROXY header with which a trusted proxy starts each connection. */
export function awaitProxyHeader(socket: Socket, timeoutMs: number, handler: PrefaceHandler): void {
  const preface = new Preface(socket, handler);
  Object.assign(socket, { [PREFACE]: preface })
    .on('readable', onReadable)
    .on('close', onClose);
  deadlines.add(preface, timeoutMs);
}

function onReadable(this: PrefacedSocket): void {
  this[PREFACE].readable();
}

function onClose(this: PrefacedSocket): void {
  this[PREFACE].closed();
}

class Preface {
  readonly #socket: Socket;
  readonly #handler: PrefaceHandler;
  readonly #received = new GatheredBytes();

  constructor(socket: Socket, handler: PrefaceHandler) {
    this.#socket = socket;
    this.#handler = handler;
  }

  readable(): void {
    const chunk: unknown = this.#socket.read();
    if (!Buffer.isBuffer(chunk)) return;
    this.#received.addOwned(chunk);
    const received = this.#received.bytes;
    const header = parseProxyHeader(received, 0, received.length);
    if (header.kind === 'more') return;
    if (header.kind === 'invalid') {
      this.#fail(header.detail);
      return;
    }
    this.#leave();
    if (header.bytes < received.length) this.#socket.unshift(received.subarray(header.bytes));
    this.#handler.announced(header.source);
  }

  closed(): void {
    this.#leave();
    if (this.#received.length > 0) this.#handler.failed('the connection was closed within the PROXY header');
  }

  expired(): void {
    this.#fail('no whole PROXY header in time');
  }

  #fail(detail: string): void {
    this.#leave();
    this.#socket.resetAndDestroy();
    this.#handler.failed(detail);
  }

  #leave(): void {
    deadlines.delete(this);
    this.#socket.off('readable', onReadable).off('close', onClose);
  }
}
