import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPublicIp } from '../../src/base/public-ip.ts';

test('an address is public when the Internet routes it', () => {
  for (const ip of ['8.8.8.8', '100.63.0.1', '172.32.0.1', '192.169.0.1', '2606:4700::1', '::ffff:8.8.8.8']) {
    assert.ok(isPublicIp(ip), ip);
  }
  const inner = ['10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', '169.254.1.1', '127.0.0.1', '0.0.0.0'];
  const reserved = ['192.0.2.1', '198.51.100.1', '203.0.113.1', '198.18.0.1', '224.0.0.1', '240.0.0.1', '192.0.0.1'];
  const ipv6 = ['::', '::1', 'fe80::1', 'fd00::1', '2001:db8::1', 'ff02::1', '4000::1', '::ffff:10.0.0.1'];
  for (const ip of [...inner, ...reserved, ...ipv6, 'relay.example.com', '']) assert.ok(!isPublicIp(ip), ip);
});
