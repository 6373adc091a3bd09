import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { pino } from 'pino';
import { Clock } from '../../src/base/clock.ts';
import { ConnectionLog } from '../../src/service/connection-log.ts';

const REMOTE = { ip: '203.0.113.7', port: 1234 };
const KEY = Buffer.alloc(32, 1);

suite('the log of connections', () => {
  const lines: string[] = [];
  const log = new ConnectionLog(
    pino({}, { write: (line) => lines.push((JSON.parse(line) as { msg: string }).msg) }),
    new Clock(),
  );
  const told = (...refusal: Parameters<ConnectionLog['refused']>): string[] => {
    lines.length = 0;
    log.refused(...refusal);
    return [...lines];
  };

  test('a client that is cut was not refused', () => {
    assert.match(
      told('write_timeout', REMOTE, KEY, '')[0]!,
      /^closed a connection: write_timeout \(from 203\.0\.113\.7 /,
    );
    assert.deepEqual(told('tls_timeout', REMOTE, null, ''), ['refused a connection: tls_timeout (from 203.0.113.7)']);
  });

  test('what the admission has logged is not logged again', () => {
    assert.deepEqual(told('not_admitted', REMOTE, KEY, 'keys: not in the list'), []);
    assert.match(told('not_admitted', REMOTE, KEY, 'error: out of order')[0]!, /error: out of order/);
  });
});
