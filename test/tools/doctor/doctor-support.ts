import assert from 'node:assert/strict';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { registerDoctor } from '../../../src/cli/doctor.ts';
import type { Check, Section } from '../../../src/tools/doctor/check.ts';
import { TestRelay } from '../../service/support.ts';

/** A running relay, its configuration file, and the programs that use its ports. */
export class DoctorFixture {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'towpath-doctor-'));
  relay: TestRelay | null = null;
  readonly #held: Socket[] = [];
  readonly #others: (Server | UdpSocket)[] = [];

  get keyFile(): string {
    return join(this.folder, 'derper.key');
  }

  get mapFile(): string {
    return join(this.folder, 'map.json');
  }

  /** Starts a relay whose files are in this folder. */
  async start(env: Record<string, string> = {}): Promise<TestRelay> {
    this.relay = await TestRelay.start({
      TOWPATH_KEY_FILE: this.keyFile,
      TOWPATH_CERTIFICATE_DIRECTORY: join(this.folder, 'certs'),
      ...env,
    });
    return this.relay;
  }

  /** Writes the configuration of the relay with its real ports and with changes; returns the path. */
  configure(changes: Record<string, unknown> = {}): string {
    const { derp, http, stun, admin } = this.relay?.relay.addresses ?? { derp: [], http: [], stun: [], admin: null };
    const config = {
      // Nothing listens on port 1.
      listen: derp[0] === undefined ? '127.0.0.1:1' : at(derp[0]),
      http: at(http[0]),
      stun: at(stun[0]),
      admin: at(admin ?? undefined),
      hostname: '127.0.0.1',
      keyFile: this.keyFile,
      certificate: { directory: join(this.folder, 'certs') },
      // The limit of open files of the test machine may be low.
      limits: { connections: 100 },
      admission: { open: true },
      ...changes,
    };
    const file = join(this.folder, 'towpath.yaml');
    writeFileSync(file, JSON.stringify(config, null, 2));
    return file;
  }

  /** Runs the doctor; `changes` go into the configuration. */
  async examine(changes: Record<string, unknown> = {}, ...args: readonly string[]): Promise<Diagnosis> {
    return diagnose('--config', this.configure(changes), '--timeout', '1', ...args);
  }

  /** Starts a program on a TCP port of the loopback that sends `greeting` to every client. */
  async strangerTcp(greeting = ''): Promise<number> {
    const server = createServer((socket) => socket.on('error', () => undefined).end(greeting));
    this.#others.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  }

  /** Starts a program on a TCP port of the loopback that sends nothing. */
  async silentTcp(): Promise<number> {
    const server = createServer((socket) => this.#held.push(socket.on('error', () => undefined)));
    this.#others.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  }

  /** Starts a program on a UDP port of the loopback. */
  async strangerUdp(answer?: (request: Buffer) => Buffer): Promise<number> {
    const socket = createSocket('udp4');
    socket.on('message', (request, { port, address }) => {
      if (answer !== undefined) socket.send(answer(request), port, address);
    });
    this.#others.push(socket.bind(0, '127.0.0.1'));
    await once(socket, 'listening');
    return socket.address().port;
  }

  async close(): Promise<void> {
    for (const socket of this.#held) socket.destroy();
    for (const other of this.#others) other.close();
    await this.relay?.stop();
    rmSync(this.folder, { recursive: true });
  }
}

/** The result of the doctor. */
export interface Diagnosis {
  readonly code: number;
  readonly sections: readonly Section[];
  readonly failed: readonly Check[];
}

/** Runs `towpath doctor --json` in this process. */
export async function diagnose(...args: readonly string[]): Promise<Diagnosis> {
  const { out, code } = await doctor(...args, '--json');
  const report = JSON.parse(out) as { ok: boolean; sections: Section[] };
  const failed = report.sections.flatMap(({ checks }) => checks).filter(({ status }) => status === 'failed');
  assert.equal(report.ok, failed.length === 0);
  assert.equal(code, failed.length === 0 ? 0 : 1);
  for (const { text, fix } of failed) assert.ok(fix !== null && fix.endsWith('.'), `what to do about: ${text}`);
  return { code, sections: report.sections, failed };
}

/** Runs `towpath doctor` in this process. */
export async function doctor(...args: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  const said = { out: '', err: '' };
  const program = new Command().exitOverride().configureOutput({
    writeOut: (text) => (said.out += text),
    writeErr: (text) => (said.err += text),
  });
  registerDoctor(program);
  try {
    await program.parseAsync(['doctor', ...args], { from: 'user' });
    return { ...said, code: Number(process.exitCode ?? 0) };
  } finally {
    // Bun does not take undefined.
    process.exitCode = 0;
  }
}

/** Returns the checks of one kind. */
export function found({ sections }: Diagnosis, step: Check['step']): Check[] {
  return sections.flatMap(({ checks }) => checks).filter((check) => check.step === step);
}

function at(endpoint: { ip: string; port: number } | undefined): string {
  return endpoint === undefined ? 'off' : `${endpoint.ip}:${endpoint.port}`;
}
