import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { TowpathError } from '../../src/base/errors.ts';
import { loadHomePage } from '../../src/http/home-page.ts';

const code = (expected: string) => (error: unknown) => error instanceof TowpathError && error.code === expected;

describe('home page', () => {
  it('shows an HTML file, read anew at each load, with a policy that allows its own style', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'towpath-home-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'index.html');
    for (const text of ['<h1>One</h1>', '<h1>Two</h1>']) {
      writeFileSync(file, text);
      const { page, neutral } = loadHomePage({ mode: 'file', file });
      assert.equal(page.body.toString(), text);
      assert.ok(neutral);
      assert.match(page.headers['Content-Security-Policy']!, /; style-src 'self' 'unsafe-inline'/);
    }
  });

  it('says so when the file cannot be read or the address is none', () => {
    assert.throws(() => loadHomePage({ mode: 'file', file: '/nowhere/index.html' }), code('TOWPATH_HOME_FILE'));
    for (const url of [undefined, '', 'example.com', 'javascript:alert(1)', 'file:///etc/passwd']) {
      assert.throws(() => loadHomePage({ mode: 'redirect', url }), code('TOWPATH_HOME_URL'));
    }
  });
});
