import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../free-port.ts';
import { authority, relay, storeOf, type Case } from './stage.ts';

/** Problems that operators have, with the expected messages. */
export const failing: readonly Case[] = [
  {
    name: 'port closed: words, readiness, a wait that survives the restart; then the other challenge',
    run: async (stage) => {
      const closed = await freePort();
      const pebble = await authority(stage, { ports: { ...stage.ports, http: closed } });
      const challenges = ['http-01', 'tls-alpn-01'];
      const first = await relay(stage, pebble, { challenges });
      await first.says(/could not connect to towpath\.test on TCP port 80/);
      assert.match(first.output, /Open TCP port 80 to everyone/);
      const ready = await first.ready();
      assert.equal(ready.status, 503);
      assert.match(ready.text, /not issued a certificate yet: the authority could not connect/);
      await first.stop();
      const second = await relay(stage, pebble, { challenges });
      await second.says(/failed before this start; the relay tries again at the given time/);
      await sleep(2500);
      assert.doesNotMatch(second.output, /ordering a certificate/);
      await second.stop();
      const file = storeOf(stage, pebble, 'towpath.test.state.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace(/"notBefore": [\d.]+/, '"notBefore": 0'));
      const third = await relay(stage, pebble, { challenges });
      await third.issued('towpath.test');
    },
  },
  {
    name: 'DNS points elsewhere: another server answers',
    run: async (stage) => {
      const foreign = createServer((_request, response) => response.end('hello')).listen(stage.ports.http, '127.0.0.7');
      await once(foreign, 'listening');
      stage.atEnd(() => foreign.close());
      await stage.dns.setAddress('elsewhere.test', '127.0.0.7');
      const towpath = await relay(
        stage,
        await authority(stage),
        { challenges: ['http-01'] },
        { hostname: 'elsewhere.test' },
      );
      await towpath.says(/another server than this relay answered for elsewhere\.test/);
      assert.match(towpath.output, /Check that DNS points elsewhere\.test at this machine/);
    },
  },
  {
    name: 'mode auto: a challenge that does not work ends with a self-signed certificate that is ready, and stays',
    run: async (stage) => {
      const closed = await freePort();
      const pebble = await authority(stage, { ports: { http: closed, tls: closed } });
      const config = { hostname: 'relay.towpath-lab.net' };
      const first = await relay(stage, pebble, {}, config, 'auto');
      await first.says(/mode auto: a self-signed certificate is used/);
      assert.match(first.output, /could not connect/);
      assert.equal((await first.ready()).status, 200);
      const { fingerprint256 } = first.presented('relay.towpath-lab.net');
      await first.stop();
      const second = await relay(stage, pebble, {}, config, 'auto');
      await second.says(/decided at an earlier start/);
      await sleep(2500);
      assert.equal(second.presented('relay.towpath-lab.net').fingerprint256, fingerprint256);
      assert.doesNotMatch(second.output, /ordering a certificate/);
    },
  },
  {
    name: 'the authority is not trusted, and is not there',
    run: async (stage) => {
      const pebble = await authority(stage);
      const untrusted = await relay(stage, pebble, { caFile: undefined });
      await untrusted.says(/cannot be reached/);
      assert.match(untrusted.output, /certificate\.acme\.caFile/);
      await untrusted.stop();
      const closed = await freePort();
      const absent = await relay(stage, pebble, { directory: `https://localhost:${closed}/dir` });
      await absent.says(/cannot be reached: .*ECONNREFUSED/);
      assert.match((await absent.ready()).text, /cannot be reached/);
    },
  },
  {
    name: 'half of all nonces refused and slow verdicts: still issued',
    run: async (stage) => {
      const pebble = await authority(stage, { nonceReject: 50, sleepSeconds: 3 });
      const towpath = await relay(stage, pebble);
      await towpath.issued('towpath.test');
    },
  },
];
