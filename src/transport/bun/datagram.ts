import { systemErrorCode } from '../../base/errors.ts';
import { canonicalIp } from '../../base/ip-address.ts';
import { isIpv6Off, listenError } from '../shared/listen-errors.ts';
import type { BindOptions, DatagramHandler, DatagramSocket, Endpoint } from '../port.ts';
import type { BunUdpOptions, BunUdpSocket } from './api.ts';
import { openInheritedUdp, openUdp } from './undocumented.ts';

/**
 * Room for the datagrams of one turn of the event loop. When it is full, the interface does not keep up, and datagrams
 * are dropped.
 */
const SLAB_BYTES = 262_144;
/**
 * Bun 1.4 reads a socket until it is empty, so that a loop turn never ends under a flood (oven-sh/bun#37103). After
 * this many datagrams the socket is replaced, and the datagrams in its kernel buffer are lost. Linux' default receive
 * buffer holds 277 small ones, so a burst is read in full.
 */
const MAX_PER_TURN = 288;
/** Time until the next attempt when a socket could not be replaced. */
const RETRY_MS = 1000;
/** Datagram, port and address of each packet in a batch. */
const FIELDS = 3;
const MAPPED_PREFIX = '::ffff:';

/** Binds a UDP socket; `::` takes both families. Rejects with a TowpathError that says why the address cannot be opened. */
export async function bindDatagram(
  ip: string,
  port: number,
  handler: DatagramHandler,
  options: BindOptions = {},
): Promise<DatagramSocket> {
  const { fd, isShared = false } = options;
  const socket = new BunDatagramSocket(handler);
  try {
    if (fd === undefined) await socket.bind(ip, port, isShared);
    else await socket.inherit(fd);
  } catch (error) {
    if (fd === undefined && isIpv6Off(ip, error)) return bindDatagram('0.0.0.0', port, handler, options);
    throw listenError('UDP', ip, port, error);
  }
  return socket;
}

/** Sends the datagrams of one loop turn together, with one system call (`sendMany`). */
class BunDatagramSocket implements DatagramSocket {
  readonly #handler: DatagramHandler;
  readonly #options: Pick<BunUdpOptions, 'binaryType' | 'socket'>;
  #address: Endpoint = { ip: '', port: 0 };
  /** Null before it is bound, while it is replaced, and after the end. */
  #socket: BunUdpSocket | null = null;
  /** Opens a socket on the same address; null with an inherited descriptor, which would be lost. */
  #reopen: (() => Promise<BunUdpSocket>) | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #mapsV4 = false;
  /** Datagrams read in this loop turn. */
  #inTurn = 0;
  #batch: (Buffer | number | string)[] = [];
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #slabUsed = 0;
  #scheduled = false;
  readonly #flush = (): void => this.#send();
  readonly #endTurn = (): void => {
    this.#scheduled = false;
    this.#inTurn = 0;
    this.#send();
  };

  constructor(handler: DatagramHandler) {
    this.#handler = handler;
    this.#options = {
      binaryType: 'buffer',
      socket: {
        data: (socket, bytes, port, address) => {
          this.#schedule();
          this.#inTurn += 1;
          if (this.#inTurn <= MAX_PER_TURN) {
            handler.datagram(this, bytes, 0, bytes.length, plainAddress(address), port);
          } else if (socket === this.#socket && this.#reopen !== null) {
            this.#socket = null;
            socket.close();
            void this.#replace(this.#reopen);
          }
        },
        drain: this.#flush,
        // Without this handler an ICMP answer to one datagram would end the process. The socket still works.
        error: (error) => {
          if (!isAboutPeer(error)) handler.error(error);
        },
      },
    };
  }

  get address(): Endpoint {
    return this.#address;
  }

  /** Rejects when the address cannot be opened. */
  async bind(ip: string, port: number, isShared: boolean): Promise<void> {
    this.#opened(await openUdp({ hostname: ip, port, ...this.#options }, isShared));
    const again = { hostname: ip, port: this.#address.port, ...this.#options };
    this.#reopen = () => openUdp(again, isShared);
  }

  /** Rejects when the descriptor cannot be taken over. */
  async inherit(fd: number): Promise<void> {
    const socket = await openInheritedUdp(fd, this.#options);
    if (socket === null) throw new Error('this version of Bun cannot take over a UDP socket, Node can');
    this.#opened(socket);
  }

  #opened(socket: BunUdpSocket): void {
    this.#socket = socket;
    const { address, port } = socket.address;
    this.#address = { ip: canonicalIp(address), port };
    this.#mapsV4 = address.includes(':');
  }

  async #replace(reopen: () => Promise<BunUdpSocket>): Promise<void> {
    try {
      const socket = await reopen();
      if (this.#isClosed) socket.close();
      else this.#opened(socket);
    } catch (error) {
      if (this.#isClosed) return;
      this.#handler.error(listenError('UDP', this.#address.ip, this.#address.port, error));
      this.#retry = setTimeout(() => void this.#replace(reopen), RETRY_MS);
    }
  }

  send(buffer: Buffer, from: number, to: number, ip: string, port: number): boolean {
    if (this.#isClosed || port < 1 || port > 65_535) return false;
    const isV4 = !ip.includes(':');
    if (!isV4 && !this.#mapsV4) return false;
    const end = this.#slabUsed + to - from;
    if (end > SLAB_BYTES) return false;
    buffer.copy(this.#slab, this.#slabUsed, from, to);
    this.#batch.push(this.#slab.subarray(this.#slabUsed, end), port, isV4 && this.#mapsV4 ? MAPPED_PREFIX + ip : ip);
    this.#slabUsed = end;
    this.#schedule();
    return true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#endTurn);
  }

  /** Sends the waiting datagrams. Those that the kernel does not take now wait for `drain`. */
  #send(): void {
    const socket = this.#socket;
    const batch = this.#batch;
    if (socket === null || batch.length === 0) return;
    let at = 0;
    let failed = false;
    while (at < batch.length) {
      const taken = sendSome(socket, at === 0 ? batch : batch.slice(at));
      if (taken === 0) break;
      if (taken > 0) {
        at += taken * FIELDS;
        failed = false;
      } else {
        // The error may be an ICMP answer to an earlier datagram: this one is tried again.
        if (failed) at += FIELDS;
        failed = !failed;
      }
    }
    if (at < batch.length) {
      this.#batch = batch.slice(at);
    } else {
      batch.length = 0;
      this.#slabUsed = 0;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#send();
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = null;
    // The port is free when the event loop has closed the handle.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Returns how many datagrams were taken, or −1 after an error, when not even the first was taken. */
function sendSome(socket: BunUdpSocket, batch: readonly (Buffer | number | string)[]): number {
  try {
    return socket.sendMany(batch);
  } catch {
    return -1;
  }
}

/** Whether the error is an ICMP report about one destination. */
function isAboutPeer(error: Error): boolean {
  return ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EMSGSIZE', 'EACCES'].includes(systemErrorCode(error));
}

function plainAddress(address: string): string {
  if (address.startsWith(MAPPED_PREFIX)) return address.slice(MAPPED_PREFIX.length);
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}
