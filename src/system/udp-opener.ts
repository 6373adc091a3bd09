import type { Arena } from './arena.ts';
import {
  AF_INET,
  AF_INET6,
  Errno,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RXQ_OVFL,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  SOL_UDP,
  SystemCallError,
  UDP_GRO,
  UDP_SEGMENT,
} from './linux.ts';
import type { Pointer, SystemCalls } from './port.ts';
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from './socket-address.ts';

/** Options of a UDP socket. */
export interface UdpOpenOptions {
  /** IP text; `::` takes only IPv6: IPv4 has its own socket. */
  readonly ip: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Wanted size of each of the two buffers of the kernel, in bytes; what the kernel gives may be less. */
  readonly bufferBytes: number;
  /** Whether the kernel may put datagrams of one sender together (UDP_GRO). */
  readonly gro: boolean;
}

/** An open UDP socket that does not block, and what the kernel gave of what was asked. */
export interface UdpSocket {
  readonly fd: number;
  readonly isInet: boolean;
  readonly port: number;
  /** Size of the receive buffer, as the kernel counts it: twice what was asked. */
  readonly receiveBufferBytes: number;
  readonly hasGro: boolean;
  readonly hasGso: boolean;
}

const VALUE_BYTES = 4;

/** Opens UDP sockets that report the local address of each datagram. Holds the few bytes of memory that this takes. */
export class UdpOpener {
  readonly #calls: SystemCalls;
  readonly #arena: Arena;
  readonly #value: number;
  readonly #length: number;
  readonly #name: number;
  readonly #valuePointer: Pointer;
  readonly #lengthPointer: Pointer;
  readonly #namePointer: Pointer;

  /** Bytes of the arena that it takes. */
  static readonly arenaBytes = 128;

  constructor(calls: SystemCalls, arena: Arena) {
    this.#calls = calls;
    this.#arena = arena;
    this.#value = arena.reserve(VALUE_BYTES);
    this.#length = arena.reserve(VALUE_BYTES);
    this.#name = arena.reserve(SOCKET_ADDRESS_BYTES);
    this.#valuePointer = arena.pointer(this.#value);
    this.#lengthPointer = arena.pointer(this.#length);
    this.#namePointer = arena.pointer(this.#name);
  }

  /** Opens and binds a socket. Throws a {@link SystemCallError} that names the call that failed, and leaves nothing open. */
  open(options: UdpOpenOptions): UdpSocket {
    const addressBytes = writeSocketAddress(this.#arena.bytes, this.#name, options.ip, options.port);
    if (addressBytes === 0) throw new SystemCallError('bind', Errno.EINVAL);
    const isInet = (this.#arena.words[this.#name >> 2]! & 0xffff) === AF_INET;
    const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const fd = this.#calls.socket(isInet ? AF_INET : AF_INET6, type, 0);
    if (fd < 0) throw new SystemCallError('socket', this.#calls.errno());
    try {
      if (!isInet) this.#require(fd, IPPROTO_IPV6, IPV6_V6ONLY);
      if (isInet) this.#require(fd, IPPROTO_IP, IP_PKTINFO);
      else this.#require(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
      this.#buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.bufferBytes);
      this.#buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.bufferBytes);
      this.#set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
      const hasGro = options.gro && this.#set(fd, SOL_UDP, UDP_GRO, 1);
      const hasGso = this.#set(fd, SOL_UDP, UDP_SEGMENT, 0);
      this.#check('bind', this.#calls.bind(fd, this.#namePointer, addressBytes));
      return { fd, isInet, port: this.#port(fd), receiveBufferBytes: this.#get(fd, SO_RCVBUF), hasGro, hasGso };
    } catch (error) {
      this.#calls.close(fd);
      throw error;
    }
  }

  #require(fd: number, level: number, option: number): void {
    if (!this.#set(fd, level, option, 1)) throw new SystemCallError('setsockopt', this.#calls.errno());
  }

  #set(fd: number, level: number, option: number, value: number): boolean {
    this.#arena.words[this.#value >> 2] = value;
    return this.#calls.setsockopt(fd, level, option, this.#valuePointer, VALUE_BYTES) === 0;
  }

  /** Sets the size of a buffer. A size above net.core.rmem_max needs a privilege. */
  #buffer(fd: number, forced: number, usual: number, bytes: number): void {
    if (!this.#set(fd, SOL_SOCKET, forced, bytes)) this.#set(fd, SOL_SOCKET, usual, bytes);
  }

  #get(fd: number, option: number): number {
    this.#arena.words[this.#length >> 2] = VALUE_BYTES;
    this.#check('getsockopt', this.#calls.getsockopt(fd, SOL_SOCKET, option, this.#valuePointer, this.#lengthPointer));
    return this.#arena.words[this.#value >> 2]!;
  }

  #port(fd: number): number {
    this.#arena.words[this.#length >> 2] = SOCKET_ADDRESS_BYTES;
    this.#check('getsockname', this.#calls.getsockname(fd, this.#namePointer, this.#lengthPointer));
    return readSocketAddress(this.#arena.bytes, this.#name)?.port ?? 0;
  }

  #check(call: string, result: number): void {
    if (result < 0) throw new SystemCallError(call, this.#calls.errno());
  }
}
