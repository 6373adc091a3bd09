/**
 * Tests a relay process on a machine with a wrong clock: it starts in 1970 and in 2069, and the clock jumps while it runs. Its
 * pin must stay; `/readyz` must name the problem and recover automatically.
 * Run by `node test/chaos/clocks.ts`; needs the Debian package faketime. TOWPATH_INTEROP_RUNTIME=bun runs it on Bun.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findRuntime } from '../../src/cli/runtime.ts';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';

const LIBRARY = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];
const RUNTIME = findRuntime(process.env['TOWPATH_INTEROP_RUNTIME'] === 'bun' ? 'bun' : 'node');
const DEADLINE_MS = 30_000;
const RIGHT = '+0';

assert.ok(LIBRARY !== undefined, 'the Debian package faketime is missing');
const clockFile = path.join(mkdtempSync(path.join(tmpdir(), 'towpath-clocks-')), 'clock');

/** The relay of one folder, started once for each step. */
class Site {
  folder: string | undefined;
  relay: RelayProcess | null = null;

  start(clock: string): void {
    set(clock);
    const before = { ...process.env };
    // Only the wall clock is set: the monotonic clock never jumps.
    Object.assign(process.env, {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    });
    this.relay = new RelayProcess([...FREE_PORTS, '--no-self-test'], this.folder, RUNTIME);
    process.env = before;
    this.folder = this.relay.folder;
  }

  async pin(): Promise<string> {
    const [, pin = ''] = await this.relay!.says(/^ {2}pin +(\S+)$/m, DEADLINE_MS);
    return pin;
  }

  /** Waits until `/readyz` answers with this status and a matching body. */
  async becomes(status: number, pattern: RegExp): Promise<void> {
    const port = await this.relay!.port('admin');
    const endsAt = performance.now() + DEADLINE_MS;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      const text = await answer.text();
      if (answer.status === status && pattern.test(text)) return;
      assert.ok(performance.now() < endsAt, `${answer.status} ${text}, not ${status}, in:\n${this.relay!.output}`);
      await sleep(100);
    }
  }

  get stored(): X509Certificate {
    return new X509Certificate(readFileSync(path.join(this.folder!, 'certs', '127.0.0.1.crt')));
  }

  async stop(): Promise<void> {
    assert.deepEqual(await this.relay!.end('SIGTERM'), [0, null]);
  }
}

/** `+0`, or `@` and a date. */
function set(clock: string): void {
  writeFileSync(clockFile, `${clock}\n`);
}

const sites: Site[] = [];

async function wrongStart(first: string): Promise<void> {
  const site = new Site();
  sites.push(site);
  site.start(first);
  const pin = await site.pin();
  await site.becomes(200, /ready/);
  const { fingerprint256, validFromDate, validToDate } = site.stored;
  assert.ok(validFromDate.getTime() < Date.now() && Date.now() < validToDate.getTime(), 'valid by the true time too');
  set(RIGHT);
  await site.becomes(200, /ready/);
  await site.stop();
  for (const clock of ['@2069-12-31 12:00:00', '@1970-01-01 00:05:00', RIGHT]) {
    site.start(clock);
    assert.equal(await site.pin(), pin, clock);
    await site.stop();
  }
  assert.equal(site.stored.fingerprint256, fingerprint256);
  console.log(`first start at ${first}: one pin over starts in 2069, 1970 and now`);
}

async function jumps(): Promise<void> {
  const site = new Site();
  sites.push(site);
  site.start(RIGHT);
  const pin = await site.pin();
  await site.becomes(200, /ready/);
  for (const [clock, why] of [
    ['@2069-12-31 12:00:00', /certificate expired at/],
    ['@2001-01-01 00:00:00', /not valid before .* clock says 2001-01-0/],
  ] as const) {
    set(clock);
    await site.becomes(503, why);
    set(RIGHT);
    await site.becomes(200, /ready/);
  }
  // A jump that is over before the next check has no effect either.
  for (let n = 0; n < 50; n++) {
    set(n % 2 === 0 ? '@2069-12-31 12:00:00' : RIGHT);
    await sleep(20);
  }
  set(RIGHT);
  await site.becomes(200, /ready/);
  const lines = site.relay!.output.split('\n').filter((line) => /clock|certificate/.test(line));
  assert.ok(lines.length < 60, `${lines.length} lines about the clock`);
  await site.stop();
  site.start(RIGHT);
  assert.equal(await site.pin(), pin);
  await site.stop();
  console.log('jumps while it runs: the pin stays, and it is ready again by itself');
}

try {
  for (const first of [RIGHT, '@1970-01-01 00:05:00', '@2069-12-31 12:00:00']) await wrongStart(first);
  await jumps();
  console.log('clocks: 4 passed, 0 failed');
} finally {
  for (const { relay } of sites) await relay?.clean();
}
