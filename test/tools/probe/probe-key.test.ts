import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { createLog } from '../../../src/observe/log.ts';
import { createKeyFile } from '../../../src/service/key-file.ts';
import { Service } from '../../../src/service/service.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { formatNodeKey } from '../../../src/wire/keys.ts';
import { directory, probe, step } from './probe-support.ts';

describe('towpath probe of a relay that admits only some', () => {
  let relay: Service;
  let url = '';
  const keyFile = join(directory, 'probe.key');
  before(async () => {
    const { publicKey } = createKeyFile(keyFile).keyPair;
    const allowFile = join(directory, 'allowed-keys');
    writeFileSync(allowFile, `${formatNodeKey(publicKey)} the probe\n`);
    const { config } = loadConfig({
      values: {
        listen: '127.0.0.1:0',
        http: 'off',
        admin: 'off',
        stun: 'off',
        hostname: '127.0.0.1',
        keyFile: join(directory, 'relay.key'),
        certificate: { directory },
        admission: { sources: [{ kind: 'keys', allowFile }] },
      },
    });
    relay = new Service(config, transport, createLog({ level: 'silent', format: 'json' }).log);
    await relay.start();
    url = `https://127.0.0.1:${relay.addresses.derp[0]!.port}/derp`;
  });
  after(() => relay.close());

  it('fails at the login with throw-away keys', async () => {
    const { out, code } = await probe(url, '--insecure', '--stun-port', '-1');
    assert.equal(code, 1);
    assert.match(step(out, 'Login  '), /✗/);
    assert.match(step(out, 'Packets'), /– .* not logged in$/);
  });

  for (const way of [[], ['--websocket']]) {
    it(`sends packets with an admitted key ${way.join('')}`, async () => {
      const { out, code } = await probe(url, '--insecure', '--stun-port', '-1', '--key-file', keyFile, ...way);
      assert.equal(code, 0, out);
      assert.match(step(out, 'Login  '), /✓ .* fast start and 101, protocol 2$/);
      assert.match(step(out, 'Login by WebSocket'), /✓/);
      assert.match(step(out, 'Packets'), /✓ .* 50 packets/);
    });
  }
});
