import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { requestHttp } from '../../../src/transport/http/request.ts';
import { freePort } from '../../free-port.ts';

/** The ports that the authority connects to. All relays of a case listen on them, one at a time. */
export interface Ports {
  readonly http: number;
  readonly tls: number;
}

export interface AuthorityOptions {
  readonly ports: Ports;
  readonly validitySeconds?: number;
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** Percentage of valid nonces that are refused. */
  readonly nonceReject?: number;
  /** Longest wait before it checks a challenge, in seconds; 0 for none. */
  readonly sleepSeconds?: number;
}

/** pebble-challtestsrv as the DNS that the authority asks. */
export class MockDns {
  readonly #child: ChildProcess;
  readonly #management: number;
  readonly port: number;

  private constructor(child: ChildProcess, port: number, management: number) {
    this.#child = child;
    this.port = port;
    this.#management = management;
  }

  static async start(): Promise<MockDns> {
    const [port, management] = [await freePort(), await freePort()];
    const child = spawn(
      'pebble-challtestsrv',
      [
        '-http01',
        '',
        '-https01',
        '',
        '-tlsalpn01',
        '',
        '-dns01',
        `127.0.0.1:${port}`,
        '-management',
        `127.0.0.1:${management}`,
        '-defaultIPv6',
        '',
        '-defaultIPv4',
        '127.0.0.1',
      ],
      { stdio: 'ignore' },
    );
    const dns = new MockDns(child, port, management);
    await until('the DNS server', () => dns.#ask('clear-a', { host: 'nothing.test' }));
    return dns;
  }

  /** URL to which the hook of a relay sends its records. */
  get url(): string {
    return `http://127.0.0.1:${this.#management}`;
  }

  setAddress(host: string, address: string): Promise<unknown> {
    return this.#ask('add-a', { host: `${host}.`, addresses: [address] });
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(move: string, body: object): Promise<boolean> {
    const answer = await fetch(`${this.url}/${move}`, { method: 'POST', body: JSON.stringify(body) });
    await answer.arrayBuffer();
    return answer.ok;
  }
}

/** One pebble with its own root. */
export class Authority {
  readonly directory: string;
  /** Root of the HTTPS of its directory. */
  readonly caFile: string;
  /** Root of its issued certificates, PEM. */
  rootPem = '';
  output = '';
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number, caFile: string) {
    this.#child = child;
    this.directory = `https://localhost:${port}/dir`;
    this.caFile = caFile;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
  }

  static async start(folder: string, dns: MockDns, options: AuthorityOptions): Promise<Authority> {
    mkdirSync(folder, { recursive: true });
    const [port, management] = [await freePort(), await freePort()];
    const [cert, key] = [path.join(folder, 'web.crt'), path.join(folder, 'web.key')];
    makeWebCertificate(cert, key);
    const config = path.join(folder, 'pebble.json');
    writeFileSync(
      config,
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${port}`,
          managementListenAddress: `127.0.0.1:${management}`,
          certificate: cert,
          privateKey: key,
          httpPort: options.ports.http,
          tlsPort: options.ports.tls,
          externalAccountBindingRequired: options.externalAccounts !== undefined,
          externalAccountMACKeys: options.externalAccounts ?? {},
          certificateValidityPeriod: options.validitySeconds ?? 7_776_000,
        },
      }),
    );
    const sleepSeconds = options.sleepSeconds ?? 0;
    const child = spawn('pebble', ['-config', config, '-dnsserver', `127.0.0.1:${dns.port}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 20),
        PEBBLE_AUTHZREUSE: '0',
        ...(sleepSeconds === 0 ? { PEBBLE_VA_NOSLEEP: '1' } : { PEBBLE_VA_SLEEPTIME: String(sleepSeconds) }),
      },
    });
    const authority = new Authority(child, port, cert);
    const roots = `https://localhost:${management}/roots/0`;
    const request = { method: 'GET', headers: {}, timeoutMs: 2000, limitBytes: 65_536, environment: null };
    const caPem = readFileSync(cert, 'utf8');
    await until('pebble', async () => {
      const { status, body } = await requestHttp({ ...request, url: roots, caPem });
      authority.rootPem = body.toString('utf8');
      return status === 200;
    });
    return authority;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

function makeWebCertificate(cert: string, key: string): void {
  const subject = ['-subj', '/CN=pebble', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' });
}

/** Longest wait in milliseconds, even on a busy machine. */
const DEADLINE_MS = 60_000;

/** Calls a function until it returns true; an error counts as false. */
export async function until(
  what: string | (() => string),
  look: () => boolean | Promise<boolean>,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  const startedAt = performance.now();
  let cause: unknown;
  for (;;) {
    try {
      if (await look()) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() - startedAt > deadlineMs) {
      const awaited = typeof what === 'string' ? what : what();
      throw new Error(`not within ${deadlineMs} ms: ${awaited}`, { cause });
    }
    await sleep(50);
  }
}
