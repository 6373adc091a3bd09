import { X509Certificate } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  DEFAULT_CIPHERS,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { canonicalIp } from '../../base/ip-address.ts';
import { connectError } from '../shared/connect-errors.ts';
import type { Connected, ConnectOptions, ServerVerification, StreamHandler, TlsFacts } from '../port.ts';
import { checkName, checkPin, presentedChain } from '../shared/verify.ts';
import type { FastRead } from './fast-read.ts';
import { TCP_KEEPALIVE_MS } from '../shared/acceptor.ts';
import { ignore, localEndpoint } from './listener.ts';
import { NodeStream } from './stream.ts';

/** Time for one of several addresses before the next is tried. Node's 250 ms is too short for satellite links. */
const ADDRESS_ATTEMPT_MS = 1000;
const MAX_CACHED_CONTEXTS = 32;

type TlsPart = NonNullable<ConnectOptions['tls']>;

/** Opens a connection, with TLS where asked. Rejects with a `TOWPATH_CONNECT_…` error. */
export async function connect(
  options: ConnectOptions,
  handler: StreamHandler,
  fastRead: FastRead | null,
): Promise<Connected> {
  const started = performance.now();
  const raw = connectTcp({
    host: options.host,
    port: options.port,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEPALIVE_MS,
  });
  const dial: { phase: 'DNS and TCP' | 'TLS'; timedOut: boolean } = { phase: 'DNS and TCP', timedOut: false };
  const timer = setTimeout(() => {
    dial.timedOut = true;
    raw.destroy(new Error('timeout'));
  }, options.timeoutMs);
  try {
    await settled(raw, 'connect');
    const tcpMs = performance.now() - started;
    const remote = { ip: canonicalIp(raw.remoteAddress ?? options.host), port: raw.remotePort ?? options.port };
    const local = localEndpoint(raw);
    if (options.preamble !== undefined) raw.write(options.preamble);
    dial.phase = 'TLS';
    const { socket, tls } = options.tls === null ? { socket: raw, tls: null } : await secure(raw, options.tls);
    const tlsMs = tls === null ? tcpMs : performance.now() - started;
    const stream = new NodeStream({ socket, raw, remote, local, tls, connection: null });
    stream.handler = handler;
    // The caller gets the stream before the first byte: its continuation runs before the next phase of the loop.
    setImmediate(() => stream.start(stream.handler, fastRead));
    return { stream, times: { tcpMs, tlsMs } };
  } catch (error) {
    raw.destroy();
    throw connectError(options, dial, error);
  } finally {
    clearTimeout(timer);
  }
}

async function settled(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  socket.on('error', ignore);
  await new Promise<void>((resolve, reject) => {
    const forget = (): void => {
      socket.off(event, done).off('error', fail).off('close', fail);
    };
    const done = (): void => {
      forget();
      resolve();
    };
    const fail = (cause?: unknown): void => {
      forget();
      reject(cause instanceof Error ? cause : new Error('the connection was closed'));
    };
    socket.on(event, done).on('error', fail).on('close', fail);
  });
}

async function secure(raw: Socket, part: TlsPart): Promise<{ socket: TLSSocket; tls: TlsFacts }> {
  const { verify } = part;
  const serverName = isIP(part.serverName) === 0 ? part.serverName : '';
  const socket = connectTls({
    socket: raw,
    secureContext: contextFor(verify),
    rejectUnauthorized: verify.kind === 'ca',
    checkServerIdentity: (_host, certificate) =>
      verify.kind === 'ca' ? (checkName(new X509Certificate(certificate.raw), verify.name) ?? undefined) : undefined,
    ...(serverName === '' ? {} : { servername: serverName }),
  });
  await settled(socket, 'secureConnect');
  // Called once: a second call finds nothing.
  const chain = presentedChain(socket.getPeerX509Certificate());
  const problem = verify.kind === 'pin' ? checkPin(chain, verify.sha256, serverName) : null;
  if (problem !== null) throw problem;
  const version = socket.getProtocol() ?? '';
  const alpn = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '';
  return { socket, tls: { version, alpn, serverName: '', chain: chain.map((certificate) => certificate.raw) } };
}

/** Go takes RSA keys of 1024 bits, and a trusted authority regardless of its issuer. */
const AS_OFFICIAL_CLIENTS = { ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=1`, allowPartialTrustChain: true } as const;

const contexts = new Map<string, SecureContext>();

/** Contexts are shared by connections: making one costs as much as a handshake. */
function contextFor(verify: ServerVerification): SecureContext {
  const key = verify.kind === 'ca' ? `ca ${verify.caPem ?? ''}` : '';
  let context = contexts.get(key);
  if (context === undefined) {
    const ca = verify.kind === 'ca' ? (verify.caPem ?? systemAuthorities()) : undefined;
    context = createSecureContext({
      ...AS_OFFICIAL_CLIENTS,
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
    });
    if (contexts.size >= MAX_CACHED_CONTEXTS) contexts.clear();
    contexts.set(key, context);
  }
  return context;
}

/** Returns Node's own list and the one of the machine, which may have the authority of a company. */
function systemAuthorities(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
}
