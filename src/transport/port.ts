/**
 * The transport port: all that the relay knows about sockets. Two adapters implement it,
 * `node/` and `bun/`; nothing above this file knows which one runs.
 */

/** One end of a connection. `ip` is canonical text without brackets, zone or `::ffff:` prefix. */
export interface Endpoint {
  readonly ip: string;
  readonly port: number;
  /** True when a proxy in front has named this client. */
  readonly isBehindProxy?: boolean;
}

/** Why a stream ended. `end`: the peer's FIN; `reset`: RST or a socket error; `deadline`: our deadline; `local`: we aborted or finished. */
export type CloseReason = 'end' | 'reset' | 'deadline' | 'local';

/** What TLS agreed on. */
export interface TlsFacts {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly version: string;
  /** The agreed ALPN protocol, or empty. */
  readonly alpn: string;
  /** The name the client asked for, or empty. Server side only. */
  readonly serverName: string;
  /** DER of every certificate that the server presented, leaf first. Client side only; empty on the server side. */
  readonly chain: readonly Uint8Array[];
}

/** Receives what happens to one stream. `closed` is called exactly once and last. */
export interface StreamHandler {
  /** Bytes `[from, to)` of `buffer` arrived. They are read-only, and valid during the call only: the adapter reads into the same memory again. */
  bytes(stream: Stream, buffer: Buffer, from: number, to: number): void;
  /** After `write` took less than it was given: more can be taken now. May also be called after a completed write. */
  writable(stream: Stream): void;
  /** The stream has ended, from either side. */
  closed(stream: Stream, reason: CloseReason): void;
}

/** A connected byte stream: TLS, plain TCP, or WebSocket messages seen as bytes. */
export interface Stream {
  /** The other end; replaced when a trusted proxy names its client. */
  remote: Endpoint;
  /** The other end of the TCP connection itself, which may be a proxy. */
  readonly peer: Endpoint;
  readonly local: Endpoint;
  /** Null on a plain stream. */
  readonly tls: TlsFacts | null;
  /** The listener's record of the connection; null on the client side. */
  readonly connection: ConnectionHandler | null;
  /** Receives the events; may be replaced at any time, also during a callback. */
  handler: StreamHandler;
  /**
   * Offers bytes `[from, to)`. Returns how many were taken: 0 means wait for `writable`, −1 means the stream is closed.
   * What was taken may be overwritten by the caller at once.
   */
  write(buffer: Buffer, from: number, to: number): number;
  /**
   * Stops `bytes` calls until `resume`, also when called inside `bytes`. TCP slows the peer down. With `soft`, bytes
   * that were read already may still come, which saves a copy of them.
   */
  pause(how?: 'soft'): void;
  resume(): void;
  /**
   * Flushes what was taken, sends FIN, and aborts when the peer has not closed after `deadlineMs`, or later as long as it
   * is seen to take what was flushed. Reading stops.
   */
  finish(deadlineMs: number): void;
  /** Ends the stream at once; a reset where the runtime can send one. */
  abort(): void;
}

/** A private key and a certificate chain, both PEM. */
export interface CertificatePair {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Server side TLS. Ciphers and versions are the adapter's: TLS 1.2–1.3, ECDHE AEAD suites, ALPN `http/1.1`. */
export interface ServerTls {
  readonly certificate: CertificatePair;
  /** From TCP accept to the end of the handshake. */
  readonly handshakeTimeoutMs: number;
  /**
   * Returns the certificate for a client that offers the ALPN protocol `acme-tls/1`, by the server name it sends (RFC
   * 8737). Null refuses that protocol.
   */
  readonly challenge?: ((serverName: string) => CertificatePair | null) | undefined;
}

/** The PROXY protocol on a listener: connections of trusted proxies start with a header that names their client. */
export interface ProxyProtocol {
  readonly isTrusted: (ip: string) => boolean;
  /** From TCP accept to the end of the header. */
  readonly timeoutMs: number;
  /** Whether clients may connect directly, without a header. */
  readonly allowsDirect: boolean;
}

export interface ListenOptions {
  /** Canonical IP text; `::` listens on both families. */
  readonly ip: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly tls: ServerTls | null;
  /** Largest number of connections that wait in the kernel. */
  readonly backlog?: number;
  /** Several listeners may share the port. */
  readonly reusePort?: boolean;
  /** A Unix socket at this path instead; `ip` and `port` are then empty and 0, as is the remote end of its streams. */
  readonly path?: string;
  /** A listening descriptor inherited from a service manager; `ip` and `port` are then only informative. */
  readonly fd?: number;
  readonly proxy?: ProxyProtocol;
}

/** Why a connection never became a stream. */
export type HandshakeFailure = 'tls_timeout' | 'tls_error' | 'tls_closed';

/** Why a connection was ended before its client was known: `remote` is the proxy. */
type ProxyFailure = 'proxy_header' | 'untrusted_proxy';

/** Why a connection was dropped as soon as it was accepted. */
export type DropReason = ProxyFailure | 'handshake_limit';

/** Something that can be ended at once. */
export interface Abortable {
  abort(): void;
}

/** Receives the events of one accepted connection. */
export interface ConnectionHandler {
  /** TLS begins; not called on plain listeners. `abort` gives the handshake up, after which only `released` follows. */
  handshaking(handshake: Abortable): void;
  /** The handshake is done (plain: at once). Returns who handles the stream; it starts reading afterwards. */
  opened(stream: Stream): StreamHandler;
  /** The TLS handshake failed; the descriptor may still be there. */
  failed(failure: HandshakeFailure, detail: string): void;
  /** The descriptor is gone. Called once for each accepted connection, last, and after its stream's `closed`. */
  released(): void;
}

export interface ListenerHandler {
  /** The kernel accepted a connection. Null drops it with a reset, before any work is spent on it. */
  accepted(remote: Endpoint): ConnectionHandler | null;
  /** A connection was dropped before its client was known, or because it took too long; `accepted` was not called. */
  refused(reason: DropReason, remote: Endpoint, detail: string): void;
  /** The listener itself has a problem (for example no descriptors are left). It stays open. */
  error(error: Error): void;
}

export interface Listener {
  /** Where it listens, with the real port. */
  readonly address: Endpoint;
  /**
   * Uses this certificate for new handshakes; open connections stay. Throws when key and certificate do not belong
   * together.
   */
  replaceCertificate(certificate: CertificatePair): void;
  /** Stops accepting; open streams stay. Resolves when the port is free. */
  close(): Promise<void>;
}

/** How a client verifies a server. */
export type ServerVerification =
  /** Lowercase hex SHA-256 of the leaf certificate's DER; the chain may only add `derpkey…` certificates (protocol §8.3). */
  | { readonly kind: 'pin'; readonly sha256: string }
  /**
   * Chain to the system's authorities, or to `caPem` when given; the certificate must be for `name` (a host name or an
   * IP; empty: any name).
   */
  | { readonly kind: 'ca'; readonly name: string; readonly caPem?: string }
  /** Accept anything. Only for probes that judge the certificate themselves. */
  | { readonly kind: 'none' };

export interface ConnectOptions {
  /** An IP or a host name. */
  readonly host: string;
  readonly port: number;
  /** Null: plain TCP. `serverName` is the SNI; empty or an IP sends none. */
  readonly tls: { readonly serverName: string; readonly verify: ServerVerification } | null;
  /** Time limit for DNS, TCP and TLS together. */
  readonly timeoutMs: number;
  /** Sent before anything else, TLS included: a PROXY header. */
  readonly preamble?: Buffer;
}

/** Times of a connect, milliseconds since its start; `tls` equals `tcp` on a plain stream. */
export interface ConnectTimes {
  readonly tcpMs: number;
  readonly tlsMs: number;
}

export interface Connected {
  readonly stream: Stream;
  readonly times: ConnectTimes;
}

/** Receives datagrams: bytes `[from, to)` of `buffer`, valid during the call only, and where they came from. */
export interface DatagramHandler {
  /** `ip` is canonical text without `::ffff:` prefix or zone. */
  datagram(socket: DatagramSocket, buffer: Buffer, from: number, to: number, ip: string, port: number): void;
  error(error: Error): void;
}

/** How to bind a UDP socket. */
export interface BindOptions {
  /** An inherited descriptor instead of an address. */
  readonly fd?: number | undefined;
  /**
   * Several sockets of this user may share the port: one for each address, and one for all addresses. A datagram goes
   * to the socket of its address (SO_REUSEPORT).
   */
  readonly isShared?: boolean;
}

export interface DatagramSocket {
  readonly address: Endpoint;
  /** Queues one datagram; false when it was dropped. The bytes may be overwritten at once. */
  send(buffer: Buffer, from: number, to: number, ip: string, port: number): boolean;
  close(): Promise<void>;
}

/** One runtime's sockets. */
export interface Transport {
  /** For the start-up log: `node` or `bun`. */
  readonly runtime: 'node' | 'bun';
  /** Undocumented features in use or off, for the start-up log: for example `fast-read: on`. */
  readonly features: readonly string[];
  /** Memory that one idle TLS connection takes at most, in bytes. */
  readonly connectionBytes: number;
  /** Prepares the runtime for many idle connections. Servers call it at their start. */
  readonly prepareServer?: () => void;
  listen(options: ListenOptions, handler: ListenerHandler): Promise<Listener>;
  /** Rejects with a TowpathError that says what failed (`TOWPATH_CONNECT_DNS`, `_TCP`, `_TLS`, `_PIN`, `_TIMEOUT`). */
  connect(options: ConnectOptions, handler: StreamHandler): Promise<Connected>;
  bindDatagram(ip: string, port: number, handler: DatagramHandler, options?: BindOptions): Promise<DatagramSocket>;
}
