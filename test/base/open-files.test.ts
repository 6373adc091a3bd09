import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { openFileLimit, parseOpenFileLimit } from '../../src/base/open-files.ts';

suite('the limit of open files', () => {
  const text = (soft: string): string =>
    [
      'Limit                     Soft Limit           Hard Limit           Units     ',
      'Max cpu time              unlimited            unlimited            seconds   ',
      `Max open files            ${soft.padEnd(20)} 524288               files     `,
      'Max locked memory         8388608              8388608              bytes     ',
    ].join('\n');

  test('is the soft one', () => {
    assert.equal(parseOpenFileLimit(text('1024')), 1024);
    assert.equal(parseOpenFileLimit(text('unlimited')), Number.POSITIVE_INFINITY);
  });

  test('is null where it is not told', () => {
    assert.equal(parseOpenFileLimit(''), null);
    assert.equal(parseOpenFileLimit(text('?')), null);
    // No process has this number: Linux has no more than 2^22.
    assert.equal(openFileLimit(2 ** 30), null);
  });

  test('of this process is told, under its number too', { skip: process.platform !== 'linux' }, () => {
    const own = openFileLimit('self');
    assert.ok(own !== null && own > 0);
    assert.equal(openFileLimit(process.pid), own);
  });
});
