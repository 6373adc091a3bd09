import { Arena } from './arena.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SystemCallError } from './linux.ts';
import type { Pointer, SystemCalls } from './port.ts';

/** Room for a `sockaddr_un`: two bytes of family, and the path (unix(7)). */
const ADDRESS_BYTES = 110;
const PATH_AT = 2;
/** Longest message in bytes. Longer messages are cut off. */
const MESSAGE_BYTES = 1024;

/** Sends datagrams to one socket of the family `AF_UNIX`, which neither runtime can do itself. */
export class UnixDatagrams {
  readonly #calls: SystemCalls;
  readonly #arena: Arena;
  readonly #fd: number;
  readonly #message: number;
  readonly #pointer: Pointer;

  /**
   * Connects to the socket at `path`; one that begins with `@` is in the abstract name space. Throws a
   * {@link SystemCallError} when that fails, and a RangeError when the path is too long for a socket.
   */
  constructor(calls: SystemCalls, path: string) {
    const name = Buffer.from(path.replace(/^@/, '\0'));
    // A path ends with a zero byte; an abstract name ends where the address ends.
    if (name.length >= ADDRESS_BYTES - PATH_AT) throw new RangeError(`the path of a socket is too long: ${path}`);
    this.#calls = calls;
    this.#arena = new Arena(calls, ADDRESS_BYTES + MESSAGE_BYTES + 16);
    const address = this.#arena.reserve(ADDRESS_BYTES);
    this.#message = this.#arena.reserve(MESSAGE_BYTES);
    this.#pointer = this.#arena.pointer(this.#message);
    this.#arena.bytes.writeUInt16LE(AF_UNIX, address);
    name.copy(this.#arena.bytes, address + PATH_AT);
    const length = PATH_AT + name.length + (path.startsWith('@') ? 0 : 1);
    this.#fd = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) this.#fail('socket');
    if (calls.connect(this.#fd, this.#arena.pointer(address), length) < 0) this.#fail('connect');
  }

  /** Sends one datagram; false when the receiver cannot take it now, or is gone. */
  send(text: string): boolean {
    const length = this.#arena.bytes.write(text, this.#message, MESSAGE_BYTES);
    return this.#calls.write(this.#fd, this.#pointer, length) === length;
  }

  /** Closes the socket. Nothing may be sent afterwards. */
  close(): void {
    this.#calls.close(this.#fd);
    this.#arena.release();
  }

  #fail(call: string): never {
    const error = new SystemCallError(call, this.#calls.errno());
    if (this.#fd >= 0) this.#calls.close(this.#fd);
    this.#arena.release();
    throw error;
  }
}
