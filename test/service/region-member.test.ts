import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { loadConfig } from '../../src/config/load.ts';
import { Clients, type ClientsParts } from '../../src/service/clients.ts';
import { ServiceRegionMember, type RegionMemberParts } from '../../src/service/region-member.ts';

test('an operator at another relay of the region ends connections and UDP endpoints of a key', () => {
  const { config } = loadConfig({ env: { TOWPATH_CLUSTER_VALKEY: 'redis://127.0.0.1:1' } });
  const ended: string[] = [];
  const key = Buffer.alloc(32, 7);
  const common = { log: pino({ level: 'silent' }), publicKey: Buffer.alloc(32) };
  const clientsParts: Partial<ClientsParts> = {
    ...common,
    peerRelay: () => ({
      takeTraffic: () => Promise.resolve([]),
      revoke: (bytes) => ended.push(`endpoints ${bytes.equals(key)}`),
    }),
    relay: (): never =>
      ({
        endKeys: ([ending]: [{ key: Buffer; refusal: string }]) =>
          ended.push(`connections ${key.equals(ending.key)} ${ending.refusal}`),
      }) as never,
  };
  const clients = new Clients(config, clientsParts as ClientsParts);
  const parts: Partial<RegionMemberParts> = {
    ...common,
    noted: () => undefined,
    disconnect: (bytes) => void clients.disconnect(bytes),
  };
  const member = new ServiceRegionMember(config, parts as RegionMemberParts);
  member.apply({ kind: 'disconnect', key: key.toString('hex') });
  assert.deepEqual(ended.sort(), ['connections true disconnected', 'endpoints true']);
});
