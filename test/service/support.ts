import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientOptions } from '../../src/client/options.ts';
import { Clock } from '../../src/base/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { type InheritedSockets, NO_SOCKETS } from '../../src/service/inherited-sockets.ts';
import { Service } from '../../src/service/service.ts';
import type { Transport } from '../../src/transport/port.ts';
import { transport } from '../../src/transport/runtime.ts';

/** Longest wait for something that only needs processor time, in milliseconds: other programs may use nearly all of it. */
const PATIENCE_MS = 30_000;

/** A relay in this process on free ports of the loopback, with functions that connect to it. */
export class TestRelay {
  readonly relay: Service;
  readonly lines: string[];
  readonly config: Config;
  readonly #folder: string;
  readonly #clock = new Clock();
  readonly #clients: DerpClient[] = [];

  private constructor(relay: Service, config: Config, lines: string[], folder: string) {
    this.relay = relay;
    this.config = config;
    this.lines = lines;
    this.#folder = folder;
    this.#clock.start();
  }

  /**
   * Starts a relay with further environment variables, such as `TOWPATH_LIMITS_WRITE_DEADLINE_MS`; the transport can be
   * replaced, and `inherited` are sockets as from systemd.
   */
  static async start(
    env: Record<string, string> = {},
    sockets: Transport = transport,
    inherited: InheritedSockets = NO_SOCKETS,
  ): Promise<TestRelay> {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-relay-'));
    const { config } = loadConfig({
      env: {
        TOWPATH_LISTEN: '127.0.0.1:0',
        TOWPATH_HTTP: '127.0.0.1:0',
        TOWPATH_STUN: '127.0.0.1:0',
        TOWPATH_ADMIN: '127.0.0.1:0',
        TOWPATH_HOSTNAME: '127.0.0.1',
        TOWPATH_KEY_FILE: path.join(folder, 'derper.key'),
        TOWPATH_CERTIFICATE_DIRECTORY: path.join(folder, 'certs'),
        TOWPATH_ACCOUNTING_DIRECTORY: path.join(folder, 'accounting'),
        ...env,
      },
    });
    const lines: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line) => lines.push(line) });
    const relay = new Service(config, sockets, log, { inherited });
    await relay.start();
    return new TestRelay(relay, config, lines, folder);
  }

  get port(): number {
    return this.relay.addresses.derp[0]!.port;
  }

  /** Connects a DERP client, which verifies the relay by its pin. */
  async client(options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
    const client = await connectDerp({
      transport,
      clock: this.#clock,
      url: `https://127.0.0.1:${this.port}/derp`,
      verify: { kind: 'pin', sha256: this.relay.certificate.info().pinSha256 },
      timeoutMs: PATIENCE_MS,
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** Opens a raw TLS connection; resolves after its handshake. */
  async tls(): Promise<TLSSocket> {
    const socket = connectTls({ port: this.port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    return socket;
  }

  /** Opens a raw TCP connection. */
  async tcp(): Promise<Socket> {
    const socket = connectTcp({ port: this.port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  /** Waits until `condition` holds; checks it once per clock tick and fails after `deadlineMs`. */
  async until(condition: () => boolean, what: string, deadlineMs: number = PATIENCE_MS): Promise<void> {
    const startedAt = performance.now();
    await new Promise<void>((resolve, reject) => {
      const stop = this.#clock.onTick((now) => {
        const holds = condition();
        if (!holds && now - startedAt < deadlineMs) return;
        stop();
        if (holds) resolve();
        else reject(new Error(`not within ${deadlineMs} ms: ${what}`));
      });
    });
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.abort();
    await this.relay.close();
    this.#clock.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Resolves with a copy of the next packet of `client`. */
export function nextPacket(client: DerpClient): Promise<{ source: Buffer; packet: Buffer }> {
  return within(
    new Promise((resolve) => {
      client.handler = {
        ...client.handler,
        packet: (source, buffer, from, to) =>
          resolve({ source: Buffer.from(source), packet: Buffer.from(buffer.subarray(from, to)) }),
      };
    }),
    'a packet',
  );
}

/** Resolves with all received bytes when the socket is closed. */
export function untilClosed(socket: Socket, deadlineMs: number = PATIENCE_MS): Promise<Buffer> {
  return within(
    new Promise((resolve) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', () => resolve(Buffer.concat(chunks)));
    }),
    'the end of the connection',
    deadlineMs,
  );
}

/** Resolves like `event`; fails after a deadline. */
export async function within<T>(event: Promise<T>, what: string, deadlineMs: number = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([event, late]);
  } finally {
    clearTimeout(timer);
  }
}
