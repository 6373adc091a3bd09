import type { Socket } from 'node:net';
import { ProxyPreface, type PrefaceHandler } from '../shared/proxy-preface.ts';

const PREFACE = Symbol('preface');
type PrefacedSocket = Socket & { [PREFACE]: NodeProxyPreface };

/** Reads the PROXY header of a Node socket. */
export class NodeProxyPreface extends ProxyPreface {
  readonly #socket: Socket;

  constructor(socket: Socket, timeoutMs: number, handler: PrefaceHandler) {
    super(timeoutMs, handler);
    this.#socket = socket;
    Object.assign(socket, { [PREFACE]: this })
      .on('readable', onReadable)
      .on('close', onClose);
  }

  protected override reset(): void {
    this.#socket.resetAndDestroy();
  }

  protected override leave(): void {
    this.#socket.off('readable', onReadable).off('close', onClose);
  }
}

function onReadable(this: PrefacedSocket): void {
  const chunk: unknown = this.read();
  if (Buffer.isBuffer(chunk)) this[PREFACE].received(chunk);
}

function onClose(this: PrefacedSocket): void {
  this[PREFACE].closed();
}
