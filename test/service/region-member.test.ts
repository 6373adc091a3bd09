import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { loadConfig } from '../../src/config/load.ts';
import { ServiceRegionMember, type RegionMemberParts } from '../../src/service/region-member.ts';

test('an operator at another relay of the region ends connections and UDP endpoints of a key', () => {
  const { config } = loadConfig({ env: { TOWPATH_CLUSTER_VALKEY: 'redis://127.0.0.1:1' } });
  const ended: string[] = [];
  const key = Buffer.alloc(32, 7);
  const parts: Partial<RegionMemberParts> = {
    log: pino({ level: 'silent' }),
    publicKey: Buffer.alloc(32),
    noted: () => undefined,
    endEndpoints: (bytes) => ended.push(`endpoints ${bytes.equals(key)}`),
    relay: () => ({
      endKeys: ([ending]) => ended.push(`connections ${key.equals(ending!.key)} ${ending!.refusal}`),
    }),
  };
  const member = new ServiceRegionMember(config, parts as RegionMemberParts);
  member.apply({ kind: 'disconnect', key: key.toString('hex') });
  assert.deepEqual(ended.sort(), ['connections true disconnected', 'endpoints true']);
});
