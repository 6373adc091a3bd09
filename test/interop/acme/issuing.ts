import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { authority, relay, storeOf, type Case } from './stage.ts';

const HOOK = path.join(import.meta.dirname, 'dns-hook.ts');

/** The cases that obtain certificates of all kinds. */
export const issuing: readonly Case[] = [
  {
    name: 'a name by tls-alpn-01, with one nonce of five refused; self-signed meanwhile',
    run: async (stage) => {
      const pebble = await authority(stage);
      const towpath = await relay(stage, pebble, { challenges: ['tls-alpn-01'] });
      await towpath.says(/until then the relay uses a self-signed one/);
      await towpath.issued('towpath.test');
      const certificate = towpath.presented('towpath.test');
      assert.equal(certificate.subjectAltName, 'DNS:towpath.test');
      assert.equal(certificate.publicKey.asymmetricKeyType, 'ec');
      assert.equal((await towpath.ready()).status, 200);
      assert.ok((await towpath.metric('towpath_certificate_expiry_seconds')) > 7_700_000);
      for (const file of ['account.json', 'towpath.test.pem', 'towpath.test.state.json']) {
        assert.equal(statSync(storeOf(stage, pebble, file)).mode & 0o777, 0o600, file);
      }
    },
  },
  {
    name: 'a name by http-01',
    run: async (stage) => {
      const towpath = await relay(stage, await authority(stage), { challenges: ['http-01'] });
      await towpath.issued('towpath.test');
    },
  },
  {
    name: 'an IP by http-01, and one by tls-alpn-01 together with a name',
    run: async (stage) => {
      const pebble = await authority(stage);
      const first = await relay(stage, pebble, { challenges: ['http-01'] }, { publicIp: ['127.0.0.1'] });
      await first.issued();
      assert.equal(first.presented(null).subjectAltName, 'IP Address:127.0.0.1');
      await first.stop();
      const names = ['towpath.test', '127.0.0.1'];
      const second = await relay(stage, pebble, { challenges: ['tls-alpn-01'] }, {}, 'acme', names);
      await second.issued('towpath.test');
      assert.match(second.presented(null).subjectAltName ?? '', /towpath\.test.*127\.0\.0\.1/);
      await second.stop();
      const third = await relay(stage, pebble, {}, {}, 'acme', [...names, 'third.test']);
      await third.says(/names changed/);
      assert.doesNotMatch(third.presented(null).subjectAltName ?? '', /third/);
      await third.says(/has issued a certificate/);
      assert.match(third.presented(null).subjectAltName ?? '', /third\.test/);
    },
  },
  {
    name: 'a client that connects while the authority looks gets the ordinary certificate',
    run: async (stage) => {
      const pebble = await authority(stage, { sleepSeconds: 3 });
      const towpath = await relay(stage, pebble, { challenges: ['tls-alpn-01'] });
      const temporary = towpath.presented('towpath.test').serialNumber;
      await towpath.says(/ordering a certificate/);
      const foreign = connect({
        port: stage.ports.tls,
        host: '127.0.0.1',
        servername: 'other.test',
        ALPNProtocols: ['acme-tls/1'],
        rejectUnauthorized: false,
      });
      await assert.rejects(once(foreign, 'secureConnect'), /alert|no application protocol|reset/i);
      for (let i = 0; i < 20; i++) {
        const { serialNumber, issuer } = towpath.presented('towpath.test');
        assert.ok(serialNumber === temporary || /Pebble/.test(issuer), 'never the certificate of the challenge');
      }
      await towpath.issued('towpath.test');
    },
  },
  {
    name: 'several names by dns-01 with a hook, which cleans up',
    run: async (stage) => {
      const pebble = await authority(stage);
      const log = path.join(stage.folder, 'hook.log');
      const command = [process.execPath, HOOK, stage.dns.url, log];
      const names = ['towpath.test', 'second.test'];
      const section = { dnsHook: { command, waitSeconds: 0 } };
      const towpath = await relay(stage, pebble, section, { http: 'off' }, 'acme', names);
      await towpath.issued('towpath.test');
      assert.deepEqual(readFileSync(log, 'utf8').trim().split('\n').sort(), [
        'clear _acme-challenge.second.test',
        'clear _acme-challenge.towpath.test',
        'set _acme-challenge.second.test',
        'set _acme-challenge.towpath.test',
      ]);
    },
  },
  {
    name: 'an external account; without one the words say what is missing',
    run: async (stage) => {
      const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
      const pebble = await authority(stage, { externalAccounts: { 'kid-1': hmacKey } });
      const without = await relay(stage, pebble);
      await without.says(/requires an external account/);
      assert.match((await without.ready()).text, /external account/);
      await without.stop();
      writeFileSync(path.join(stage.folder, 'hmac'), `${hmacKey}\n`);
      const towpath = await relay(stage, pebble, { eab: { keyId: 'kid-1', hmacKeyFile: 'hmac' } });
      await towpath.issued('towpath.test');
    },
  },
  {
    name: 'mode auto: a public name with a working challenge is obtained, an inner one is self-signed, and it says so',
    run: async (stage) => {
      const pebble = await authority(stage);
      const inner = await relay(stage, pebble, {}, { hostname: 'towpath.test' }, 'auto');
      await inner.says(/self-signed certificate is used/);
      assert.match(inner.output, /no authority issues certificates for towpath\.test/);
      assert.equal((await inner.ready()).status, 200);
      await inner.stop();
      const outer = await relay(stage, pebble, {}, { hostname: 'relay.towpath-lab.net' }, 'auto');
      await outer.issued('relay.towpath-lab.net');
      await outer.says(/mode auto: a certificate authority is used/);
      assert.equal((await outer.ready()).status, 200);
    },
  },
];
