import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { RELAY_PROGRAM } from '../relay-program.ts';
import { freePort } from '../../free-port.ts';
import { until, type Ports } from './authority.ts';

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts');

/** `towpath serve` in a folder of its own. A second one in the same folder is the same relay after a restart. */
export class RelayUnderTest {
  output = '';
  readonly folder: string;
  readonly ports: Ports;
  readonly #admin: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, folder: string, ports: Ports, admin: number) {
    this.#child = child;
    this.folder = folder;
    this.ports = ports;
    this.#admin = admin;
    this.#ended = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  static async start(folder: string, ports: Ports, config: Readonly<Record<string, unknown>>): Promise<RelayUnderTest> {
    const admin = await freePort();
    const { certificate, ...rest } = config;
    const file = path.join(folder, 'towpath.yaml');
    writeFileSync(
      file,
      stringify({
        listen: `127.0.0.1:${ports.tls}`,
        http: `127.0.0.1:${ports.http}`,
        admin: `127.0.0.1:${admin}`,
        stun: 'off',
        keyFile: 'derper.key',
        admission: { open: true },
        certificate: { directory: 'certs', ...(certificate as object) },
        ...rest,
      }),
    );
    const child = spawn(RELAY_PROGRAM, [MAIN, 'serve', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    const relay = new RelayUnderTest(child, folder, ports, admin);
    const end = relay.#ended.then(() => Promise.reject(new Error(`the relay ended:\n${relay.output}`)));
    const answer = until('the relay answers', async () => (await fetch(relay.#adminUrl('healthz'))).ok);
    await Promise.race([answer, end]);
    // The process ends later, which rejects `end`.
    end.catch(() => undefined);
    return relay;
  }

  says(pattern: RegExp, deadlineMs?: number): Promise<void> {
    return until(
      () => `${String(pattern)} in:\n${this.output}`,
      () => pattern.test(this.output),
      deadlineMs,
    );
  }

  /** Reads `/readyz`: 200, or 503 and the reasons. */
  async ready(): Promise<{ status: number; text: string }> {
    const answer = await fetch(this.#adminUrl('readyz'));
    return { status: answer.status, text: await answer.text() };
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(this.#adminUrl('metrics'))).text();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  }

  /** Returns the certificate that `openssl s_client` receives. */
  presented(serverName: string | null): X509Certificate {
    const name = serverName === null ? ['-noservername'] : ['-servername', serverName];
    const args = ['s_client', '-connect', `127.0.0.1:${this.ports.tls}`, ...name];
    const text = execFileSync('openssl', args, {
      input: '',
      stdio: ['pipe', 'pipe', 'ignore'],
      encoding: 'utf8',
      timeout: 20_000,
    });
    return new X509Certificate(text);
  }

  /** Waits until the relay shows a certificate of the authority. */
  issued(serverName: string | null = null, deadlineMs?: number): Promise<void> {
    return until(
      () => `an issued certificate in:\n${this.output}`,
      () => /Pebble/.test(this.presented(serverName).issuer),
      deadlineMs,
    );
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child.kill(signal);
    if (signal === 'SIGTERM') this.#child.kill(signal);
    await this.#ended;
  }

  #adminUrl(page: string): string {
    return `http://127.0.0.1:${this.#admin}/${page}`;
  }
}
