import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { EventSummary } from '../../src/observe/event-summary.ts';
import { createLog, type LogOptions } from '../../src/observe/log.ts';

function collect(format: LogOptions['format'], isTTY = false): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  const stream = { isTTY, write: (line: string) => lines.push(line) };
  return { lines, log: createLog({ level: 'debug', format, stream }) };
}

describe('createLog', () => {
  it('writes JSON off a terminal, with the level as a word', () => {
    const { lines, log } = collect('auto');
    log.log.info({ a: 1 }, 'started');
    const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.match(String(time), /^\d{4}-.*Z$/);
    assert.deepEqual(rest, { level: 'info', a: 1, msg: 'started' });
  });

  it('writes one readable line on request', () => {
    const { lines, log } = collect('pretty');
    log.log.warn({ ip: '203.0.113.7', name: 'two words', n: 3 }, 'started');
    assert.match(lines[0]!, /^\d\d:\d\d:\d\d\.\d{3} WARN {2}started ip=203\.0\.113\.7 name="two words" n=3\n$/);
  });

  it('is pretty on a terminal without being asked', () => {
    const { lines, log } = collect('auto', true);
    log.log.info('started');
    assert.ok(!lines[0]!.startsWith('{'));
  });

  it('shows the stack of an error below its line', () => {
    const { lines, log } = collect('pretty');
    log.log.error({ err: new Error('broken') }, 'failed');
    assert.match(lines[0]!, /ERROR failed error=broken\n {4}at /);
  });

  it('lets no peer move the cursor or fake a line', () => {
    const { lines, log } = collect('pretty');
    log.log.info({ agent: 'x\u001b[2J\n', 'k\n': 1 }, 'a\nb\u001b[31m');
    assert.ok(!lines[0]!.includes('\u001b'));
    assert.equal(lines[0]!.split('\n').length, 2);
  });

  it('is JSON in which a terminal finds nothing to obey', () => {
    const { lines, log } = collect('json');
    const agent = 'x\u001b[2J\u009b31m\u202e\u2028';
    log.log.info({ agent }, agent);
    assert.doesNotMatch(lines[0]!, /[^\P{C}\n]/u);
    const { agent: read, msg } = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.deepEqual([read, msg], [agent, agent]);
  });

  it('never shows a private or mesh key', () => {
    const { lines, log } = collect('json');
    log.log.info({ privateKey: 'S3CRET', config: { meshKey: 'S3CRET' } }, 'started');
    assert.ok(!lines[0]!.includes('S3CRET'));
  });

  it(
    'says how many lines were lost when a pipe that was full is read again',
    { skip: process.platform !== 'linux' },
    async (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'towpath-log-'));
      t.after(() => rmSync(directory, { recursive: true }));
      const file = join(directory, 'pipe');
      spawnSync('mkfifo', [file]);
      const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
      const { log, close } = createLog({ level: 'info', format: 'json', stream: fd, isBuffered: true });
      for (let i = 0; i < 30_000; i++) log.info({ i }, 'a line that nobody reads');
      let read = '';
      const piece = Buffer.alloc(65_536);
      while (!read.includes('lost')) {
        await new Promise((resolve) => setImmediate(resolve));
        try {
          read += piece.toString('utf8', 0, readSync(fd, piece));
        } catch {
          // Empty for now.
        }
      }
      close();
      closeSync(fd);
      const lines = read.trim().split('\n');
      const found = /"lines":(\d+),"msg":"log lines were lost/.exec(read);
      const before = lines.filter((line) => line.includes('nobody reads')).length;
      assert.equal(before + Number(found?.[1]), 30_000);
    },
  );

  it('has written everything after flush when it is buffered', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'towpath-log-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'log');
    const fd = openSync(file, 'w');
    const { log, flush } = createLog({ level: 'info', format: 'json', stream: fd, isBuffered: true });
    for (let i = 0; i < 200; i++) log.info({ i }, 'line');
    await flush();
    assert.equal(readFileSync(file, 'utf8').trimEnd().split('\n').length, 200);
    await flush();
    closeSync(fd);
  });
});

describe('EventSummary', () => {
  function start(): { lines: string[]; clock: Clock; summary: EventSummary } {
    const lines: string[] = [];
    const stream = { write: (line: string) => lines.push((JSON.parse(line) as { msg: string }).msg) };
    const { log } = createLog({ level: 'info', format: 'json', stream });
    const clock = new Clock();
    clock.tick(0);
    return { lines, clock, summary: new EventSummary({ clock, log, verb: 'refused', noun: 'connection' }) };
  }

  it('tells the first event at once and the others in one line per interval', () => {
    const { lines, clock, summary } = start();
    for (let i = 0; i < 121; i++) summary.add('tls_timeout', `203.0.113.${i}`);
    clock.tick(9_900);
    assert.deepEqual(lines, ['refused a connection: tls_timeout (from 203.0.113.0)']);
    clock.tick(10_000);
    assert.deepEqual(lines.slice(1), ['refused 120 connections in 10 s: tls_timeout (last from 203.0.113.120)']);
  });

  it('starts afresh after a quiet interval', () => {
    const { lines, clock, summary } = start();
    summary.add('a', 'x');
    clock.tick(10_000);
    summary.add('a', 'y');
    assert.deepEqual(lines, ['refused a connection: a (from x)', 'refused a connection: a (from y)']);
  });

  it('is bounded in reasons', () => {
    const { lines, summary } = start();
    for (let i = 0; i < 1000; i++) summary.add(`reason-${i}`, 'x');
    summary.close();
    assert.equal(lines.length, 66);
    assert.equal(lines.at(-1), 'refused 935 connections in 1 s: other (last from x)');
  });

  it('writes the rest when it is closed, and then no more', () => {
    const { lines, clock, summary } = start();
    summary.add('a', 'x');
    summary.add('a', 'y');
    summary.close();
    clock.tick(60_000);
    assert.deepEqual(lines.slice(1), ['refused 1 connection in 1 s: a (last from y)']);
  });
});
