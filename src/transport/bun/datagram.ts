import { systemErrorCode } from '../../errors.ts';
import { canonicalIp } from '../../wire/ip-address.ts';
import { isIpv6Off, listenError } from '../listen-errors.ts';
import type { BindOptions, DatagramHandler, DatagramSocket, Endpoint } from '../port.ts';
import type { BunUdpOptions, BunUdpSocket } from './api.ts';
import { openInheritedUdp, openUdp } from './undocumented.ts';

/** Room for the datagrams of one loop turn; more than that waiting means that the interface does not keep up. */
const SLAB_BYTES = 262_144;
/** Datagram, port and address of each packet in a batch. */
const FIELDS = 3;
const MAPPED_PREFIX = '::ffff:';

/** Binds a UDP socket; `::` takes both families. Rejects with a TowpathError that says why the address cannot be had. */
export async function bindDatagram(
  ip: string,
  port: number,
  handler: DatagramHandler,
  options: BindOptions = {},
): Promise<DatagramSocket> {
  const { fd, isShared = false } = options;
  const socket = new BunDatagramSocket(handler);
  try {
    const opened =
      fd === undefined
        ? await openUdp({ hostname: ip, port, ...socket.options }, isShared)
        : await openInheritedUdp(fd, socket.options);
    if (opened === null) throw new Error('this version of Bun cannot take over a UDP socket, Node can');
    socket.opened(opened);
  } catch (error) {
    if (fd === undefined && isIpv6Off(ip, error)) return bindDatagram('0.0.0.0', port, handler, options);
    throw listenError('UDP', ip, port, error);
  }
  return socket;
}

/** Datagrams of one loop turn leave together: `sendMany` makes one system call of them. */
class BunDatagramSocket implements DatagramSocket {
  readonly options: Pick<BunUdpOptions, 'binaryType' | 'socket'>;
  #address: Endpoint = { ip: '', port: 0 };
  #socket: BunUdpSocket | null = null;
  #mapsV4 = false;
  #batch: (Buffer | number | string)[] = [];
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #slabUsed = 0;
  #scheduled = false;
  readonly #flush = (): void => this.#send();

  constructor(handler: DatagramHandler) {
    this.options = {
      binaryType: 'buffer',
      socket: {
        data: (_socket, bytes, port, address) => {
          handler.datagram(this, bytes, 0, bytes.length, plainAddress(address), port);
        },
        drain: this.#flush,
        // Without this handler an ICMP answer to one datagram would end the process. It says nothing of the socket.
        error: (error) => {
          if (!isAboutPeer(error)) handler.error(error);
        },
      },
    };
  }

  get address(): Endpoint {
    return this.#address;
  }

  opened(socket: BunUdpSocket): void {
    this.#socket = socket;
    const { address, port } = socket.address;
    this.#address = { ip: canonicalIp(address), port };
    this.#mapsV4 = address.includes(':');
  }

  send(buffer: Buffer, from: number, to: number, ip: string, port: number): boolean {
    if (this.#socket === null || port < 1 || port > 65_535) return false;
    const isV4 = !ip.includes(':');
    if (!isV4 && !this.#mapsV4) return false;
    const end = this.#slabUsed + to - from;
    if (end > SLAB_BYTES) return false;
    buffer.copy(this.#slab, this.#slabUsed, from, to);
    this.#batch.push(this.#slab.subarray(this.#slabUsed, end), port, isV4 && this.#mapsV4 ? MAPPED_PREFIX + ip : ip);
    this.#slabUsed = end;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flush);
    }
    return true;
  }

  /** Sends what waits. What the kernel does not take now waits for `drain`. */
  #send(): void {
    this.#scheduled = false;
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
        // The error may be an ICMP answer to an earlier datagram, so that this one deserves a second try.
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
    const socket = this.#socket;
    if (socket === null) return;
    this.#send();
    this.#socket = null;
    socket.close();
    // The port is free when the event loop has closed the handle.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** How many datagrams were taken; −1: there was an error, and the first was not. */
function sendSome(socket: BunUdpSocket, batch: readonly (Buffer | number | string)[]): number {
  try {
    return socket.sendMany(batch);
  } catch {
    return -1;
  }
}

/** Errors that ICMP reports of one destination. */
function isAboutPeer(error: Error): boolean {
  return ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EMSGSIZE', 'EACCES'].includes(systemErrorCode(error));
}

function plainAddress(address: string): string {
  if (address.startsWith(MAPPED_PREFIX)) return address.slice(MAPPED_PREFIX.length);
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}
