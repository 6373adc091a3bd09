import type { Arena } from './arena.ts';
import {
  AF_INET,
  AF_INET6,
  Errno,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  SO_PROTOCOL,
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
import { readSockaddr, SOCKADDR_BYTES, writeSockaddr } from './sockaddr.ts';

/** An address to bind. */
export interface UdpAddress {
  /** IP text; `::` takes only IPv6, unless `isDual`. */
  readonly ip: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** True: an IPv6 socket takes IPv4, too. */
  readonly isDual?: boolean;
}

/** Options of a UDP socket. */
export interface UdpOpenOptions {
  /** Wanted size of each of the two buffers of the kernel, in bytes; what the kernel gives may be less. */
  readonly bufferBytes: number;
  /** Whether the kernel may put datagrams of one sender together (UDP_GRO). */
  readonly gro: boolean;
}

/** An open UDP socket that does not block, and what the kernel gave of what was asked. */
export interface UdpSocket {
  readonly fd: number;
  readonly isInet: boolean;
  /** True: an IPv6 socket that takes IPv4, too. Such addresses are `::ffff:A.B.C.D` there. */
  readonly isDual: boolean;
  readonly ip: string;
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
    this.#name = arena.reserve(SOCKADDR_BYTES);
    this.#valuePointer = arena.pointer(this.#value);
    this.#lengthPointer = arena.pointer(this.#length);
    this.#namePointer = arena.pointer(this.#name);
  }

  /** Opens and binds a socket. Throws a {@link SystemCallError} that names the call that failed, and leaves nothing open. */
  open(options: UdpAddress & UdpOpenOptions): UdpSocket {
    const { ip, port, isDual = false } = options;
    const addressBytes = writeSockaddr(this.#arena.bytes, this.#name, ip, port);
    if (addressBytes === 0) throw new SystemCallError('bind', Errno.EINVAL);
    const isInet = (this.#arena.words[this.#name >> 2]! & 0xffff) === AF_INET;
    const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const fd = this.#calls.socket(isInet ? AF_INET : AF_INET6, type, 0);
    if (fd < 0) throw new SystemCallError('socket', this.#calls.errno());
    try {
      if (!isInet) this.#require(fd, IPPROTO_IPV6, IPV6_V6ONLY, isDual ? 0 : 1);
      const has = this.#prepare(fd, isInet, options);
      this.#check('bind', this.#calls.bind(fd, this.#namePointer, addressBytes));
      return { fd, isInet, isDual: !isInet && isDual, ip, port: this.#address(fd).port, ...has };
    } catch (error) {
      this.#calls.close(fd);
      throw error;
    }
  }

  /**
   * Sets the options on a bound socket that another program opened. Throws a {@link SystemCallError}, EINVAL when it is
   * not a bound UDP socket. The socket stays open.
   */
  adopt(fd: number, options: UdpOpenOptions): UdpSocket {
    if (this.#get(fd, SOL_SOCKET, SO_PROTOCOL) !== IPPROTO_UDP) throw new SystemCallError('getsockopt', Errno.EINVAL);
    const { ip, port } = this.#address(fd);
    if (port === 0) throw new SystemCallError('getsockname', Errno.EINVAL);
    const isInet = !ip.includes(':');
    const isDual = ip === '::' && this.#get(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0;
    // Without the privilege, a buffer could only become smaller than the other program made it.
    return { fd, isInet, isDual, ip, port, ...this.#prepare(fd, isInet, options, false) };
  }

  #prepare(
    fd: number,
    isInet: boolean,
    { bufferBytes, gro }: UdpOpenOptions,
    isOurs = true,
  ): Pick<UdpSocket, 'receiveBufferBytes' | 'hasGro' | 'hasGso'> {
    if (isInet) this.#require(fd, IPPROTO_IP, IP_PKTINFO, 1);
    else this.#require(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    this.#buffer(fd, SO_RCVBUFFORCE, isOurs ? SO_RCVBUF : null, bufferBytes);
    this.#buffer(fd, SO_SNDBUFFORCE, isOurs ? SO_SNDBUF : null, bufferBytes);
    this.#set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    const hasGro = this.#set(fd, SOL_UDP, UDP_GRO, gro ? 1 : 0) && gro;
    const hasGso = this.#set(fd, SOL_UDP, UDP_SEGMENT, 0);
    return { receiveBufferBytes: this.#get(fd, SOL_SOCKET, SO_RCVBUF), hasGro, hasGso };
  }

  #require(fd: number, level: number, option: number, value: number): void {
    if (!this.#set(fd, level, option, value)) throw new SystemCallError('setsockopt', this.#calls.errno());
  }

  #set(fd: number, level: number, option: number, value: number): boolean {
    this.#arena.words[this.#value >> 2] = value;
    return this.#calls.setsockopt(fd, level, option, this.#valuePointer, VALUE_BYTES) === 0;
  }

  /** Sets the size of a buffer. A size above net.core.rmem_max needs a privilege: `usual` works without. */
  #buffer(fd: number, forced: number, usual: number | null, bytes: number): void {
    if (!this.#set(fd, SOL_SOCKET, forced, bytes) && usual !== null) this.#set(fd, SOL_SOCKET, usual, bytes);
  }

  #get(fd: number, level: number, option: number): number {
    this.#arena.words[this.#length >> 2] = VALUE_BYTES;
    this.#check('getsockopt', this.#calls.getsockopt(fd, level, option, this.#valuePointer, this.#lengthPointer));
    return this.#arena.words[this.#value >> 2]!;
  }

  /** Returns the local address of a socket; port 0 when it is not an IP address. */
  #address(fd: number): { readonly ip: string; readonly port: number } {
    this.#arena.words[this.#length >> 2] = SOCKADDR_BYTES;
    this.#check('getsockname', this.#calls.getsockname(fd, this.#namePointer, this.#lengthPointer));
    return readSockaddr(this.#arena.bytes, this.#name) ?? { ip: '', port: 0 };
  }

  #check(call: string, result: number): void {
    if (result < 0) throw new SystemCallError(call, this.#calls.errno());
  }
}
