import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { findPeers } from '../../src/tailnet/find-peers.ts';
import { readMapResponse } from '../../src/tailnet/map-response.ts';
import { Netmap } from '../../src/tailnet/netmap.ts';

const KEY = `nodekey:${'ab'.repeat(32)}`;

function netmap(...names: readonly string[]): Netmap {
  const map = new Netmap(100);
  const peers = names.map((Name, i) => ({
    ID: i + 1,
    Name,
    Addresses: [`100.64.0.${i + 1}/32`, `fd7a:115c:a1e0::${i + 1}/128`],
    ...(i === 0 ? { Key: KEY } : {}),
  }));
  map.apply(readMapResponse({ Peers: peers }));
  return map;
}

const ids = (map: Netmap, text: string): number[] => findPeers(map, text).map(({ id }) => id);

suite('a node is found', () => {
  const map = netmap('laptop.tail1.ts.net.', 'phone.tail1.ts.net.', 'phone.tail2.ts.net.');

  test('by its node key and by its addresses', () => {
    for (const text of [KEY, '100.64.0.1', 'FD7A:115C:A1E0:0::1']) assert.deepEqual(ids(map, text), [1], text);
    assert.deepEqual(ids(map, `nodekey:${'cd'.repeat(32)}`), []);
    assert.deepEqual(ids(map, '100.64.0.9'), []);
  });

  test('by its whole name or the first part of it, in any case', () => {
    for (const text of ['laptop', 'LapTop', 'laptop.tail1.ts.net', 'laptop.tail1.ts.net.'])
      assert.deepEqual(ids(map, text), [1], text);
    assert.deepEqual(ids(map, 'phone.tail2.ts.net'), [3]);
    assert.deepEqual(ids(map, 'phone'), [2, 3]);
    for (const text of ['', '.', 'lap', 'ts']) assert.deepEqual(ids(map, text), [], text);
  });
});
