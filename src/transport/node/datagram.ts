import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { canonicalIp, ipFamily } from '../../base/ip-address.ts';
import { isIpv6Off, listenError } from '../shared/listen-errors.ts';
import type { BindOptions, DatagramHandler, DatagramSocket, Endpoint } from '../port.ts';

/** Bursts wait in the kernel while the loop is busy elsewhere. The kernel caps it at net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = 1_048_576;
/** When more bytes than this wait in the process, the interface does not keep up, and datagrams are dropped. */
const MAX_QUEUED_BYTES = 262_144;
const MAPPED_PREFIX = '::ffff:';

/** Binds a UDP socket; `::` takes both families. Rejects with a TowpathError that says why the address cannot be opened. */
export async function bindDatagram(
  ip: string,
  port: number,
  handler: DatagramHandler,
  options: BindOptions = {},
): Promise<DatagramSocket> {
  const { fd, isShared = false } = options;
  const family = ipFamily(ip) === 6 ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    ipv6Only: false,
    reusePort: isShared,
    // All addresses are IPs: answering at once keeps Node from going through the resolver for every datagram.
    lookup: (address, _options, done) => done(null, address, family),
  });
  try {
    const listening = once(socket, 'listening');
    if (fd === undefined) socket.bind({ address: ip, port });
    else socket.bind({ fd });
    await listening;
  } catch (error) {
    socket.close();
    if (fd === undefined && isIpv6Off(ip, error)) return bindDatagram('0.0.0.0', port, handler, options);
    throw listenError('UDP', ip, port, error);
  }
  return new NodeDatagramSocket(socket, handler);
}

class NodeDatagramSocket implements DatagramSocket {
  readonly address: Endpoint;
  readonly #socket: Socket;
  readonly #mapsV4: boolean;
  #closed = false;

  constructor(socket: Socket, handler: DatagramHandler) {
    this.#socket = socket;
    const bound = socket.address();
    this.address = { ip: canonicalIp(bound.address), port: bound.port };
    this.#mapsV4 = bound.family === 'IPv6';
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    } catch (error) {
      handler.error(error instanceof Error ? error : new Error(String(error)));
    }
    socket.on('error', (error) => handler.error(error));
    socket.on('message', (bytes, from) => {
      handler.datagram(this, bytes, 0, bytes.length, plainAddress(from.address), from.port);
    });
  }

  send(buffer: Buffer, from: number, to: number, ip: string, port: number): boolean {
    if (this.#closed || port < 1 || port > 65_535) return false;
    const isV4 = !ip.includes(':');
    if (!isV4 && !this.#mapsV4) return false;
    if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) return false;
    // A copy, because Node keeps the buffer when the kernel does not take the datagram at once.
    const bytes = Buffer.from(buffer.subarray(from, to));
    this.#socket.send(bytes, port, isV4 && this.#mapsV4 ? MAPPED_PREFIX + ip : ip);
    return true;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }
}

function plainAddress(address: string): string {
  if (address.startsWith(MAPPED_PREFIX)) return address.slice(MAPPED_PREFIX.length);
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}
