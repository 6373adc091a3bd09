import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { EventParser } from '../../../page/event-parser.ts';
import { bytes, count, duration, milliseconds, percent, rate } from '../../../page/format.ts';
import { MODULES, sourceHash } from '../../../scripts/build-page.ts';
import { PAGE_FILES } from '../../../src/http/page/files.ts';
import { STATUS_PAGE } from '../../../src/http/page/status-page.ts';
import { TestRelay } from '../../service/support.ts';
import { ask } from '../http-client.ts';

suite('the status page', () => {
  test('is built from its current sources, as is the script of load reports', () => {
    for (const { target, sources } of MODULES) {
      const module = readFileSync(new URL(`../../../${target}`, import.meta.url), 'utf8');
      const built = /^\/\/ Sources: (\w+)$/m.exec(module)?.[1];
      assert.equal(built, sourceHash(sources), `${target}: run "npm run build:page"`);
    }
  });

  test('has nothing inline and asks nobody else', () => {
    const { html, script, style } = PAGE_FILES;
    assert.doesNotMatch(html, /<script(?![^>]* src=)|<style|\son\w+=|\sstyle=/);
    assert.doesNotMatch(html, /(?:src|href)="(?!\/|#)/);
    assert.doesNotMatch(style, /url\(|@import/);
    assert.doesNotMatch(script, /\beval\(|new Function/);
  });

  test('is served with a strict policy, to browsers; a terminal gets the list of paths', async (t) => {
    const relay = await TestRelay.start();
    t.after(() => relay.stop());
    const { port } = relay.relay.addresses.admin!;
    const page = await ask(port, '/', { headers: { Accept: 'text/html,*/*' } });
    assert.deepEqual([page.status, page.headers['content-type']], [200, 'text/html; charset=utf-8']);
    const policy = String(page.headers['content-security-policy']);
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.doesNotMatch(policy, /unsafe|http|\*/);
    for (const path of STATUS_PAGE.keys()) assert.equal((await ask(port, path)).status, 200, path);
    assert.match((await ask(port, '/')).body, /^towpath administration\n/);
    assert.equal((await ask(port, '/page.js', { headers: { Host: 'evil.example' } })).status, 403);
  });
});

suite('what the page shows', () => {
  test('numbers have a unit and three digits', () => {
    assert.deepEqual([0, 1, 999, 1000, 1049, 12_345, 999_949, 1_250_000, 5e15].map(bytes), [
      '0 B',
      '1 B',
      '999 B',
      '1.00 kB',
      '1.05 kB',
      '12.3 kB',
      '1.00 MB',
      '1.25 MB',
      '5.00 PB',
    ]);
    assert.deepEqual([rate(null), rate(2500)], ['–', '2.50 kB/s']);
    assert.deepEqual([0, 999, 1000, 1_234_567].map(count), ['0', '999', '1\u202f000', '1\u202f234\u202f567']);
    assert.deepEqual([0, 59.9, 60, 3661, 90_000, 86_400].map(duration), [
      '0 s',
      '59 s',
      '1 min',
      '1 h 1 min',
      '1 d 1 h',
      '1 d',
    ]);
    assert.deepEqual([0, 0.00035, 0.0123, 1.5].map(milliseconds), ['0 µs', '350 µs', '12.3 ms', '1.50 s']);
    assert.deepEqual([0, 0.0123, 0.5, 1.2].map(percent), ['0 %', '1.2 %', '50 %', '120 %']);
  });

  test('events arrive whole, in pieces of any size', () => {
    const text = 'event: status\ndata: {"a":1}\n\nevent: connections\ndata: {"b":[]}\n\n';
    for (let size = 1; size <= text.length; size++) {
      const seen: string[] = [];
      const parser = new EventParser((name, data) => seen.push(`${name} ${data}`));
      for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
      assert.deepEqual(seen, ['status {"a":1}', 'connections {"b":[]}']);
    }
  });
});
