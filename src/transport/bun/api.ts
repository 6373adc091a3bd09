/**
 * The part of Bun's documented socket API that the adapter uses. `bun-types` is not a dependency: it would replace
 * Node's types.
 */

/** The owner of a socket: its `data`. One set of handlers serves all sockets and calls the owner. */
export interface SocketOwner {
  /** TCP is connected; before TLS. */
  connected(socket: BunSocket): void;
  /** The TLS handshake ended, successfully or not. */
  secured(socket: BunSocket, ok: boolean, error: Error | null): void;
  received(chunk: Buffer): void;
  drained(): void;
  peerEnded(): void;
  /** TLS or the kernel reported an error. The descriptor may still be open. */
  failed(error: Error): void;
  /** The descriptor is closed; `error` is set after a reset. */
  socketClosed(error: Error | null): void;
}

/** A certificate of `getPeerCertificate`, as Node's legacy objects. */
export interface LegacyCertificate {
  readonly raw?: Buffer;
  readonly issuerCertificate?: LegacyCertificate;
}

/** `Bun.Socket`, without `end()` and `close()`: on TLS they may leave the descriptor open for ever. */
export interface BunSocket {
  data: SocketOwner;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly alpnProtocol?: string | false | null;
  /** Bytes taken; 0 when full, −1 when closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
  pause(): void;
  resume(): void;
  /** Sends what was taken, then FIN. */
  shutdown(): void;
  /** Reset; `close` is called before it returns. */
  terminate(): void;
  setKeepAlive(on: boolean, initialDelayMs: number): boolean;
  getTLSVersion(): string | null;
  getServername(): string | undefined;
  getPeerCertificate(abbreviated?: boolean): LegacyCertificate | undefined;
}

/** `Bun.SocketHandler`. */
export interface SocketHandlers {
  readonly binaryType: 'buffer';
  open(socket: BunSocket): void;
  handshake(socket: BunSocket, ok: boolean, error: Error | null): void;
  data(socket: BunSocket, chunk: Buffer): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
  error(socket: BunSocket, error: Error): void;
}

/** TLS options of `Bun.listen` and `Bun.connect`. */
export interface BunTls {
  readonly key?: string;
  readonly cert?: string;
  readonly ca?: string | readonly string[];
  readonly ciphers?: string;
  readonly secureOptions?: number;
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
  /** Wire format: a length byte before each protocol. */
  readonly ALPNProtocols?: Buffer;
  /** As on the wire: `0x303` is TLS 1.2. */
  readonly minVersion?: number;
  readonly maxVersion?: number;
}

export interface BunListenOptions {
  readonly hostname?: string;
  readonly port?: number;
  readonly fd?: number;
  /** The path of a Unix socket, instead. */
  readonly unix?: string;
  readonly reusePort?: boolean;
  readonly tls?: BunTls;
  readonly data: SocketOwner;
  readonly socket: SocketHandlers;
}

/** `Bun.Listener`. */
export interface BunListener {
  readonly port: number;
  readonly hostname: string;
  stop(closeConnections: boolean): void;
}

interface BunConnectOptions {
  readonly hostname?: string;
  readonly port?: number;
  /** The path of a Unix socket, instead. */
  readonly unix?: string;
  readonly tls?: BunTls;
  readonly data: SocketOwner;
  readonly socket: SocketHandlers;
}

/** `Bun.udp.Socket`. */
export interface BunUdpSocket {
  readonly address: { readonly address: string; readonly port: number };
  /** Datagram, port, address, and so on; returns how many the kernel took. */
  sendMany(packets: readonly (Buffer | number | string)[]): number;
  close(): void;
}

export interface BunUdpOptions {
  readonly hostname?: string;
  readonly port?: number;
  readonly fd?: number;
  readonly binaryType: 'buffer';
  readonly socket: {
    data(socket: BunUdpSocket, bytes: Buffer, port: number, address: string): void;
    drain(socket: BunUdpSocket): void;
    error(error: Error): void;
  };
}

interface BunApi {
  readonly version: string;
  listen(options: BunListenOptions): BunListener;
  connect(options: BunConnectOptions): Promise<BunSocket>;
  udpSocket(options: BunUdpOptions): Promise<BunUdpSocket>;
}

/** The global `Bun`. */
export const bun: BunApi = Reflect.get(globalThis, 'Bun') as BunApi;
