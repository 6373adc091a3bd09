import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { TowpathError } from '../../src/base/errors.ts';
import { naming } from '../../src/service/listen-keys.ts';
import { listenError } from '../../src/transport/shared/listen-errors.ts';
import { RelayProcess } from './relay-process.ts';

/** The text that the message for each listener must contain. */
const KEYS = {
  listen: 'set derpPort too',
  http: '"http: off"',
  stun: '"stun: off"',
  admin: '"admin: off"',
} as const;
type Key = keyof typeof KEYS;

/** Starts a relay with one changed address, which must fail; returns its output. */
async function failingStart(key: Key, address: string): Promise<string> {
  const others = Object.keys(KEYS).flatMap((each) => [`--${each}`, each === key ? address : '127.0.0.1:0']);
  const relay = new RelayProcess([...others, '--no-self-test', '--log-level', 'warn']);
  try {
    assert.deepEqual((await relay.end())[0], 1, relay.output);
    return relay.output;
  } finally {
    await relay.clean();
  }
}

describe('an address that cannot be had', () => {
  const tcp = createServer();
  const udp = createSocket('udp4');
  let ports: Record<'tcp' | 'udp', number>;
  before(async () => {
    tcp.listen(0, '127.0.0.1');
    udp.bind(0, '127.0.0.1');
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
    ports = { tcp: (tcp.address() as AddressInfo).port, udp: udp.address().port };
  });
  after(() => {
    tcp.close();
    udp.close();
  });

  for (const [key, wayOut] of Object.entries(KEYS) as [Key, string][]) {
    it(`${key}: the message names the key and the way out`, async () => {
      const port = key === 'stun' ? ports.udp : ports.tcp;
      const taken = await failingStart(key, `127.0.0.1:${port}`);
      const protocol = key === 'stun' ? 'UDP' : 'TCP';
      assert.ok(
        taken.includes(`towpath: ${key}: Cannot listen on ${protocol} 127.0.0.1:${port}: the port is already in use`),
        taken,
      );
      assert.ok(taken.includes(wayOut) && taken.includes(`(--${key})`), taken);
      assert.doesNotMatch(taken, /unexpected error|^ +at /m);
    });
  }

  it('an address of another machine is told in the same way', async () => {
    const said = await failingStart('http', '192.0.2.1:9090');
    assert.match(
      said,
      /towpath: http: Cannot listen on TCP 192\.0\.2\.1:9090: this machine does not have that address/,
    );
    assert.match(said, /"ip addr".*"http: off"/);
  });

  it('a port that needs a privilege too, but not a socket of the service manager', async () => {
    const denied = listenError('TCP', '::', 80, Object.assign(new Error('bind'), { code: 'EACCES' }));
    const fail = (): Promise<never> => Promise.reject(denied);
    await assert.rejects(naming('http', false, fail), (error: unknown) => {
      assert.ok(error instanceof TowpathError);
      assert.equal(error.message, 'http: Cannot listen on TCP [::]:80: permission denied.');
      assert.match(error.hint ?? '', /CAP_NET_BIND_SERVICE.*"http: off" turns it off/);
      return true;
    });
    await assert.rejects(naming('http', true, fail), denied);
  });
});
