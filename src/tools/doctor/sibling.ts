import type { Clock } from '../../base/clock.ts';
import { connectDerp } from '../../client/connect.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import type { DerpClientHandler } from '../../client/options.ts';
import { parseRelayUrl } from '../../client/relay-url.ts';
import type { Target } from '../../relay/mesh/addresses.ts';
import type { Transport } from '../../transport/port.ts';
import { KEY_BYTES } from '../../wire/frames.ts';
import { decodePeerPresent, PresentFlag, WATCH_CONNS_FRAME } from '../../wire/mesh-frames.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../wire/keys.ts';

/** The list of clients has no end mark. It is complete when no frame has come for this time. */
const QUIET_MS = 300;
/** Head of an answer to HEAD. */
const HEAD_BYTES = 8192;

/** What a relay shows to a connection with the mesh key. */
export interface SiblingView {
  readonly serverKey: Buffer;
  /** Round trip in milliseconds. */
  readonly roundTripMs: number;
  /** The programs of the relays that are linked to it, by node key in hex; empty for relays that do not send one. */
  readonly linked: ReadonlyMap<string, string>;
}

interface SiblingParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/**
 * Connects to a relay with a mesh key, as another relay of the region does, but with the node key of `keys`. Rejects with a
 * TowpathError when there is no connection.
 */
export function connectAsRelay(
  target: Target,
  meshKey: Buffer,
  { transport, clock, timeoutMs }: SiblingParts,
  keys: NodeKeyPair,
  handler: DerpClientHandler,
): Promise<DerpClient> {
  return connectDerp({
    ...{ transport, clock, timeoutMs, keys, handler },
    ...{ url: target.url, ipOverride: target.ip, serverName: target.serverName, verify: target.verify },
    info: { meshKey, isProber: true },
    fastStart: false,
  });
}

/**
 * Connects to a relay with a mesh key and reads the list of its peers. Null when it does not accept the key. Rejects
 * with a TowpathError when there is no connection; `TOWPATH_CLIENT_REFUSED` also means a wrong key.
 */
export async function viewSibling(target: Target, meshKey: Buffer, parts: SiblingParts): Promise<SiblingView | null> {
  const { timeoutMs } = parts;
  const keys = generateNodeKeyPair();
  const linked = new Map<string, string>();
  const { promise: end, resolve: ended } = Promise.withResolvers<boolean>();
  let quiet: NodeJS.Timeout | undefined;
  let client: DerpClient | null = null;
  const limit = setTimeout(() => ended(false), timeoutMs);
  try {
    client = await connectAsRelay(target, meshKey, parts, keys, {
      peerPresent: (buffer, from, to) => {
        const key = buffer.subarray(from, from + KEY_BYTES);
        const { flags, app } = decodePeerPresent(buffer.subarray(from, to));
        const isOther = !key.equals(keys.publicKey) && (flags & PresentFlag.Mesh) !== 0;
        if (isOther) linked.set(key.toString('hex'), app);
        clearTimeout(quiet);
        quiet = setTimeout(() => ended(true), QUIET_MS);
      },
      closed: () => ended(false),
    });
    const roundTripMs = await client.ping(timeoutMs);
    client.sendFrame(WATCH_CONNS_FRAME);
    const isWatching = await end;
    return isWatching ? { serverKey: client.facts.serverKey, roundTripMs, linked } : null;
  } finally {
    clearTimeout(limit);
    clearTimeout(quiet);
    client?.abort();
  }
}

/** Returns by how many seconds our clock is ahead of a relay's clock; null when the relay does not send its time. */
export async function clockSkew(target: Target, { transport, timeoutMs }: SiblingParts): Promise<number | null> {
  const { host, port, secure, hostHeader } = parseRelayUrl(target.url);
  const { promise: answered, resolve } = Promise.withResolvers<string>();
  let head = '';
  const limit = setTimeout(() => resolve(head), timeoutMs);
  const startedAt = Date.now();
  const { stream } = await transport.connect(
    {
      host: target.ip === '' ? host : target.ip,
      port,
      tls: secure ? { serverName: target.serverName, verify: target.verify } : null,
      timeoutMs,
    },
    {
      bytes: (_stream, buffer, from, to) => {
        head += buffer.toString('latin1', from, to);
        if (head.includes('\r\n\r\n') || head.length > HEAD_BYTES) resolve(head);
      },
      writable: () => undefined,
      closed: () => resolve(head),
    },
  );
  try {
    const request = Buffer.from(`HEAD /derp/probe HTTP/1.1\r\nHost: ${hostHeader}\r\nConnection: close\r\n\r\n`);
    stream.write(request, 0, request.length);
    const date = Date.parse(/^date: (.*)\r$/im.exec(await answered)?.[1] ?? '');
    return Number.isNaN(date) ? null : ((startedAt + Date.now()) / 2 - date) / 1000;
  } finally {
    clearTimeout(limit);
    stream.abort();
  }
}
