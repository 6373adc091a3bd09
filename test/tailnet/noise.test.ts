import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { initiate, NoiseCipher, NoiseError } from '../../src/tailnet/noise.ts';
import { generateNodeKeyPair, nodeKeyPair } from '../../src/wire/keys.ts';
import { respond } from './noise-responder.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** Peer-relay reference §17.2. */
const machine = nodeKeyPair(hex('682bca1040ffd1ec5f4984e612cdfdf22a8c59573211f596973678f234de745a'));
const control = nodeKeyPair(hex('a0e78e73220ed78d35ad41b310ff899e99c981f7581c50250439d72fc02dbd40'));
const clientEphemeral = nodeKeyPair(hex('a8f0d7ff584d5a7b3da07697f803949b42ebba8435e6b2e321da5a3af359ac59'));
const serverEphemeral = nodeKeyPair(hex('30990ccf74631a1a17e0796b56ef7970c2ab7f50ef6a370073686b10f3b15c71'));
const INITIATION = hex(`0083010060ae859ba3f7d72f9d7e8934b9c173b1f084a3fbd880ea9dd2c29a7450a6b3ef14c68554442d
  da350595b9a171db6d53b7ae22d454d2b1890628e9adbec6d78feaeba048513209c92cf020d92f5ffded
  d54a8edca606ca4210d4d9ebba3fc0b74e`);
const RESPONSE = hex(`0200307dceadcdc2b260e53d20fb7477b1b6f778e31e7f066612d236f287f21992e7616bf912fc8dc547
  11df9dc19588e76d33`);

describe('Noise with a control server', () => {
  it('gives the messages and keys of the reference on both sides (§19.1)', () => {
    const initiation = initiate(131, machine, control.publicKey, clientEphemeral);
    assert.deepEqual(initiation.message, INITIATION);
    const accepted = respond(INITIATION, control, serverEphemeral);
    assert.deepEqual(accepted.response, RESPONSE);
    assert.equal(accepted.version, 131);
    assert.deepEqual(accepted.machineKey, machine.publicKey);
    for (const keys of [accepted.keys, initiation.finish(RESPONSE.subarray(3))]) {
      assert.deepEqual(keys.clientToServer, hex('d44db8643ba9968ec7848cf51bace9fbb7dc7c88a1ec3cf21eadb3fecd406137'));
      assert.deepEqual(keys.serverToClient, hex('404317f20cca34301184faf6bc743365ee9562cd8fb4527951aa81f7091f381a'));
      assert.deepEqual(keys.hash, hex('09cfcc6aca12a3810a0fce7d014c4952dd2bbeb934e258a3cb22f8b050fa8bda'));
    }
  });

  it('counts the records with a big-endian counter', () => {
    const cipher = new NoiseCipher(hex('d44db8643ba9968ec7848cf51bace9fbb7dc7c88a1ec3cf21eadb3fecd406137'));
    const sealed = ['PRI * HTTP/2.0', 'second'].map((text) => Buffer.from(cipher.seal(Buffer.from(text))));
    assert.deepEqual(sealed[0], hex('87f077d28b5ba781db503f62736ff77b905d22a814137de2f0e737530b41'));
    assert.deepEqual(sealed[1], hex('af8a9e60409a633fb5a8fff094b6256a90978453c808'));
  });

  it('refuses a response of another server, a changed one, and keys of low order', () => {
    const other = respond(
      initiate(131, machine, control.publicKey, clientEphemeral).message,
      control,
      generateNodeKeyPair(),
    );
    const changed = Buffer.from(other.response.subarray(3));
    changed[40]! ^= 1;
    const fresh = (): ReturnType<typeof initiate> => initiate(131, machine, control.publicKey, clientEphemeral);
    assert.throws(() => fresh().finish(changed), NoiseError);
    assert.throws(() => fresh().finish(changed.subarray(1)), NoiseError);
    assert.throws(() => fresh().finish(Buffer.alloc(48)), NoiseError);
    assert.throws(() => initiate(131, machine, Buffer.alloc(32)), NoiseError);
    assert.throws(() => respond(INITIATION, generateNodeKeyPair()), NoiseError);
    assert.throws(() => respond(INITIATION.subarray(1), control), NoiseError);
  });
});
