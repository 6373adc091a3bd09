import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultGateway, defaultRouteIn } from '../../src/base/default-gateway.ts';

const HEAD = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT';
const row = (...fields: string[]): string => [...fields, '0', '0', '0'].join('\t');

test('the default gateway is that of the route with the lowest metric', () => {
  const table = [
    HEAD,
    row('eth0', '0001500A', '00000000', '0001', '0', '0', '0', '00FFFFFF'),
    row('wlan0', '00000000', '0101A8C0', '0003', '0', '0', '600', '00000000'),
    row('eth0', '00000000', '0101500A', '0003', '0', '0', '100', '00000000'),
    row('ppp0', '00000000', '00000000', '0001', '0', '0', '1', '00000000'),
    '',
  ].join('\n');
  assert.deepEqual(defaultRouteIn(table), { device: 'eth0', gateway: '10.80.1.1' });
  for (const text of [
    '',
    HEAD,
    `${HEAD}\nx`,
    `${HEAD}\n${row('eth0', '00000000', 'zz', '0003', '0', '0', '0', '00000000')}`,
  ])
    assert.equal(defaultRouteIn(text), null, text);
});

test('this machine has one or none', () => {
  const gateway = defaultGateway();
  if (gateway !== null) assert.match(gateway.ip, /^\d+\.\d+\.\d+\.\d+$/);
});
