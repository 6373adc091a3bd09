import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Counters } from '../../../src/observe/counters.ts';
import { LinkKeys } from '../../../src/relay/mesh/link-keys.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import { Delivery, type Forwarder } from '../../../src/relay/routing/recipient.ts';
import { Router } from '../../../src/relay/routing/router.ts';

const MOST = 3;
const FORWARDER: Forwarder = { isUp: true, deliver: () => Delivery.Taken, whenTaking: () => {} };

function key(n: number): Buffer {
  return Buffer.alloc(32, n);
}

suite('the keys of a link', () => {
  test('more than may be entered are refused; those that are there are told again after a new connection', () => {
    const counters = new Counters();
    const router = new Router(counters, DuplicatePolicy.LastWriter, { contactsPerClient: 16, connectionsPerKey: 4 });
    const keys = new LinkKeys(FORWARDER, router, () => MOST);
    for (let n = 1; n <= 5; n++) keys.present(key(n), 0, 0);
    assert.deepEqual([keys.size, keys.refused, counters.remoteKeys], [MOST, 2, MOST]);

    keys.disconnected(1000);
    keys.connected(2000);
    for (let n = 1; n <= MOST; n++) keys.present(key(n), 0, 2000);
    keys.present(key(4), 0, 2000);
    keys.tick(60_000, true);
    assert.deepEqual([keys.size, keys.refused, counters.remoteKeys], [MOST, 3, MOST]);

    keys.gone(key(1), 0);
    keys.present(key(4), 0, 60_000);
    assert.deepEqual([keys.size, keys.refused, router.knows(key(1))], [MOST, 3, false]);
    keys.close();
    assert.deepEqual([keys.size, counters.remoteKeys], [0, 0]);
  });
});
