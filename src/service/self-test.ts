import { createHash, randomBytes } from 'node:crypto';
import { connectDerp } from '../client/connect.ts';
import type { DerpClient } from '../client/derp-client.ts';
import { Clock } from '../base/clock.ts';
import { TowpathError } from '../base/errors.ts';
import type { DatagramSocket, Endpoint, Transport } from '../transport/port.ts';
import { formatHostPort } from '../base/ip-address.ts';
import { generateNodeKeyPair } from '../wire/keys.ts';
import { encodeBindingRequest, parseBindingResponse, STUN_TRANSACTION_ID_BYTES } from '../wire/stun.ts';

/** Each step of the self-test must be done within this time. */
const STEP_MS = 5000;
const PACKET_BYTES = 64;

/** Measured times of a self-test, milliseconds. */
export interface SelfTestTimes {
  /** TCP and TLS. */
  readonly tlsMs: number;
  /** From the start to an open DERP connection. */
  readonly openMs: number;
  /** A packet from one client to the other, both ways, and half of it. */
  readonly packetMs: number;
  /** A STUN request and its answer; null where STUN is off. */
  readonly stunMs: number | null;
}

/** The relay to test. */
export interface SelfTestTarget {
  readonly transport: Transport;
  readonly derp: Endpoint;
  readonly stun: Endpoint | null;
  /** Lowercase hex SHA-256 of the certificate that must be presented; null where there is no TLS. */
  readonly pinSha256: string | null;
  /** The server name of the TLS handshake. */
  readonly serverName: string;
  /** Admits a key that the admission sources do not know; returns a function that ends this. */
  readonly exempt: (key: Buffer) => () => void;
}

/**
 * Tests the public ports as a client uses them: TLS, upgrade, two temporary clients, a packet each way, a STUN request.
 * Throws a TowpathError that says which step failed.
 */
export async function runSelfTest(target: SelfTestTarget): Promise<SelfTestTimes> {
  const clock = new Clock();
  clock.start();
  const clients: DerpClient[] = [];
  const ends: (() => void)[] = [];
  try {
    for (const name of ['first', 'second'])
      clients.push(await within(connect(target, clock, ends), `the ${name} client connects`));
    const [first, second] = clients as [DerpClient, DerpClient];
    if (sha256(first.facts.tls?.chain[0]) !== target.pinSha256) {
      throw new TowpathError('TOWPATH_SELF_TEST', "self-test: the certificate is not this relay's", {
        hint: 'Another server answers at this address: stop it, or choose another address.',
      });
    }
    const there = await within(packet(first, second), 'a packet from the first client reaches the second');
    const back = await within(packet(second, first), 'a packet from the second client reaches the first');
    const stunMs = target.stun === null ? null : await within(askStun(target.transport, target.stun), 'STUN answers');
    const { tlsMs, openMs } = first.facts;
    return { tlsMs, openMs, packetMs: (there + back) / 2, stunMs };
  } finally {
    for (const client of clients) client.close();
    for (const end of ends) end();
    clock.stop();
  }
}

/** Returns an address of this machine at which something that listens on `endpoint` can be reached. */
export function reachable({ ip, port }: Endpoint): Endpoint {
  return { ip: ip === '::' || ip === '0.0.0.0' ? '127.0.0.1' : ip, port };
}

function connect(target: SelfTestTarget, clock: Clock, ends: (() => void)[]): Promise<DerpClient> {
  const keys = generateNodeKeyPair();
  ends.push(target.exempt(keys.publicKey));
  const { ip, port } = reachable(target.derp);
  return connectDerp({
    transport: target.transport,
    clock,
    keys,
    url: `${target.pinSha256 === null ? 'http' : 'https'}://${formatHostPort(ip, port)}/derp`,
    serverName: target.serverName,
    verify: { kind: 'none' },
    timeoutMs: STEP_MS,
  });
}

function sha256(der: Uint8Array | undefined): string | null {
  return der === undefined ? null : createHash('sha256').update(der).digest('hex');
}

async function packet(from: DerpClient, to: DerpClient): Promise<number> {
  const payload = randomBytes(PACKET_BYTES);
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    to.handler = {
      packet: (source, buffer, start, end) => {
        if (source.equals(from.publicKey) && buffer.subarray(start, end).equals(payload)) resolve();
      },
    };
    from.send(to.publicKey, payload);
  });
  return performance.now() - startedAt;
}

async function askStun(transport: Transport, server: Endpoint): Promise<number> {
  const { ip, port } = reachable(server);
  const transaction = randomBytes(STUN_TRANSACTION_ID_BYTES);
  const startedAt = performance.now();
  let socket: DatagramSocket | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const handler = {
        datagram: (_socket: DatagramSocket, buffer: Buffer, from: number, to: number, sender: string): void => {
          if (parseBindingResponse(buffer, from, to)?.transactionId.equals(transaction) !== true) return;
          if (sender === ip) resolve();
          else reject(new TowpathError('TOWPATH_SELF_TEST', `self-test: STUN at ${ip} answers from ${sender}`));
        },
        error: reject,
      };
      transport.bindDatagram(ip.includes(':') ? '::' : '0.0.0.0', 0, handler).then((bound) => {
        socket = bound;
        const request = encodeBindingRequest(transaction);
        bound.send(request, 0, request.length, ip, port);
      }, reject);
    });
    return performance.now() - startedAt;
  } finally {
    await socket?.close();
  }
}

/** Waits for a step. Rejects with the step's name when it takes too long. */
async function within<T>(step: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new TowpathError('TOWPATH_SELF_TEST', `self-test: not within ${STEP_MS / 1000} s: ${what}`)),
      STEP_MS,
    );
  });
  try {
    return await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}
