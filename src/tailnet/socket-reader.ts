import type { Duplex } from 'node:stream';

/**
 * Reads the first bytes of a server from `socket`, before another protocol takes over. One call at a time; each rejects
 * when the connection ends or after `timeoutMs`.
 */
export class SocketReader {
  readonly #socket: Duplex;
  readonly #timeoutMs: number;
  #bytes: Buffer = Buffer.alloc(0);
  #error: Error | null = null;
  #wake: (() => void) | null = null;
  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    this.#socket.pause();
    this.#wake?.();
  };
  readonly #onError = (error: Error): void => this.#fail(error);
  readonly #onClose = (): void => this.#fail(new Error('the server closed the connection'));

  constructor(socket: Duplex, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('data', this.#onData).on('error', this.#onError).on('close', this.#onClose).on('end', this.#onClose);
    socket.pause();
  }

  /** Reads up to and including the first `ending`, at most `limitBytes`. */
  async until(ending: string, limitBytes: number): Promise<Buffer> {
    for (;;) {
      const at = this.#bytes.indexOf(ending);
      if (at > limitBytes || (at < 0 && this.#bytes.length > limitBytes))
        throw new Error(`the server's answer has a head of more than ${limitBytes} bytes`);
      if (at >= 0) return this.#take(at + ending.length);
      await this.#more();
    }
  }

  /** Reads exactly this many bytes. */
  async exactly(length: number): Promise<Buffer> {
    while (this.#bytes.length < length) await this.#more();
    return this.#take(length);
  }

  /** Gives the socket back, paused; returns the bytes that were read and not used. */
  release(): Buffer {
    const socket = this.#socket;
    socket.off('data', this.#onData).off('error', this.#onError).off('close', this.#onClose).off('end', this.#onClose);
    return this.#bytes;
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#fail(new Error(`no answer within ${this.#timeoutMs / 1000} s`)),
        this.#timeoutMs,
      );
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        if (this.#error === null) resolve();
        else reject(this.#error);
      };
      if (this.#error === null) this.#socket.resume();
      else this.#wake();
    });
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#wake?.();
  }
}
