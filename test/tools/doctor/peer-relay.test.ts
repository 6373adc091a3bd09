import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import type { Check } from '../../../src/tools/doctor/check.ts';
import { formatHostPort } from '../../../src/base/ip-address.ts';
import { RelayWorld } from '../../service/peer-relay/relay-world.ts';
import { diagnose, found } from './doctor-support.ts';

suite('the doctor and the peer relay', { timeout: 60_000 }, () => {
  test('tells whether it is ready, and what a node lacks to use it', async (t) => {
    const world = await RelayWorld.open(t);
    const { relay, control } = world;
    await relay.until(() => relay.relay.health.ready, 'the peer relay is ready');
    const { admin } = relay.relay.addresses;
    const examine = (place: { ip: string; port: number } | null): ReturnType<typeof diagnose> => {
      const file = path.join(world.folder, 'towpath.yaml');
      const config = {
        listen: '127.0.0.1:1',
        http: 'off',
        stun: 'off',
        admin: place === null ? 'off' : formatHostPort(place.ip, place.port),
        hostname: '127.0.0.1',
        keyFile: path.join(world.folder, 'derper.key'),
        peerRelay: { tailnets: [{ name: 'home', controlUrl: control.url }] },
      };
      writeFileSync(file, JSON.stringify(config));
      return diagnose('--config', file, '--timeout', '5', '--node', 'node2', 'node3');
    };
    const diagnosis = await examine(admin);
    assert.deepEqual(
      found(diagnosis, 'peer-relay').map(({ status, text }) => [status, text]),
      [['ok', 'tailnet home: ready']],
    );
    const use = found(diagnosis, 'peer-relay-use');
    const about = (text: string): Check | undefined => use.find((check) => check.text.includes(text));
    assert.equal(about('node2: the policy lets it use the relay')?.status, 'ok');
    assert.equal(about('node2: it has not asked')?.status, 'failed');
    assert.match(about('node2: it has not asked')!.fix!, /without a direct path/);

    control.broadcast({ PacketFilter: [] });
    await relay.until(() => !relay.relay.health.ready, 'the grant is withdrawn');
    const [without] = found(await examine(admin), 'peer-relay');
    assert.match(
      `${without?.status} ${without?.text}`,
      /^failed tailnet home: .*cap\/relay towards this node to no node/,
    );
    const [off] = found(await examine(null), 'peer-relay');
    assert.deepEqual([off?.status, /cannot be asked/.test(off!.text)], ['skipped', true]);
  });
});
