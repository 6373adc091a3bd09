import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PrefixSet } from '../../../src/base/ip-prefix.ts';
import { createDoorCounts, DoorCount, type DoorCountName } from '../../../src/relay/udp/door-counts.ts';
import { ADDRESS_WORDS } from '../../../src/relay/udp/port.ts';
import { writeAddress } from '../../../src/relay/udp/side-address.ts';
import { SourceSketch } from '../../../src/relay/udp/source-sketch.ts';
import { looksLikeStun, StunAnswers, type StunRules } from '../../../src/relay/udp/stun-answers.ts';
import { encodeBindingRequest, MAX_STUN_RESPONSE_BYTES, parseBindingResponse } from '../../../src/wire/stun.ts';

const ID = Buffer.from('0102030405060708090a0b0c', 'hex');
const GENERIC = Buffer.from(`000100002112a442${ID.toString('hex')}`, 'hex');
/** The address of a client, after one word that is not part of it. */
const SOURCE = 1;

function setUp(rules: Partial<StunRules> = {}) {
  const counts = createDoorCounts();
  const stun = new StunAnswers(counts, { limit: null, generic: null, ...rules });
  const out = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  const words = new Int32Array(SOURCE + ADDRESS_WORDS);
  const answer = (bytes: Buffer, ip = '192.0.2.1', port = 54321): Buffer => {
    assert.ok(writeAddress(words, SOURCE, ip, port));
    const padded = Buffer.concat([Buffer.of(9, 9, 9), bytes, Buffer.of(9)]);
    return out.subarray(0, stun.answer(out, padded, 3, padded.length - 1, words, SOURCE));
  };
  const receive = (bytes: Buffer, ip?: string): number => (answer(bytes, ip).length > 0 ? 1 : 0);
  return { stun, answer, receive, count: (name: DoorCountName) => counts[DoorCount[name]]! };
}

const GENERIC_RULE = { perSecond: 3, burst: 3, siteFactor: 4 };

describe('answers to STUN', () => {
  it('tell each client of both families its address, and are counted (§9.88)', () => {
    const { answer, count } = setUp();
    for (const [ip, bytes] of [
      ['192.0.2.1', 32],
      ['2001:db8::1', 44],
    ] as const) {
      const response = answer(encodeBindingRequest(ID), ip, 54321);
      assert.equal(response.length, bytes);
      assert.deepEqual(parseBindingResponse(response, 0, bytes), { transactionId: ID, ip, port: 54321 });
    }
    assert.equal(answer(GENERIC).length, 0);
    assert.deepEqual([count('stunIpv4'), count('stunIpv6'), count('stunNotStun')], [1, 1, 1]);
  });

  it('are only for what looks like STUN', () => {
    const looks = (bytes: Buffer): boolean => looksLikeStun(bytes, 0, bytes.length);
    assert.ok(looks(encodeBindingRequest(ID)) && looks(GENERIC));
    assert.ok(!looks(GENERIC.subarray(0, 19)) && !looks(Buffer.alloc(0)) && !looks(Buffer.alloc(40, 1)));
  });

  it('end while the door is silent', () => {
    const { stun, receive } = setUp();
    stun.isSilent = true;
    assert.equal(receive(encodeBindingRequest(ID)), 0);
    stun.isSilent = false;
    assert.equal(receive(encodeBindingRequest(ID)), 1);
  });

  it('answers generic clients only when told to, and limits them per source without touching Tailscale’s', () => {
    const { receive, count, stun } = setUp({ generic: GENERIC_RULE });
    stun.tick(0);
    const answers = Array.from({ length: 5 }, () => receive(GENERIC));
    assert.deepEqual(answers, [1, 1, 1, 0, 0]);
    assert.equal(count('stunRateLimited'), 2);
    assert.equal(receive(encodeBindingRequest(ID)), 1);
    assert.equal(receive(GENERIC, '192.0.2.2'), 1);
    assert.equal(receive(Buffer.from('noise')), 0);
    stun.tick(900);
    assert.equal(receive(GENERIC), 0);
    stun.tick(1000);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => receive(GENERIC)),
      [1, 1, 1, 0],
    );
  });
});

describe('STUN requests of Tailscale clients from one source', () => {
  const limit = { perSecond: 2, burst: 4, siteFactor: 2 };
  const ask = encodeBindingRequest(ID);

  it('are answered up to the limit, and others go on', () => {
    const { receive, count, stun } = setUp({ limit, exempt: new PrefixSet(['10.0.0.0/8']) });
    stun.tick(0);
    const answers = (requests: number, ip: string): number =>
      Array.from({ length: requests }, () => receive(ask, ip)).reduce((sum, sent) => sum + sent, 0);
    assert.equal(answers(10, '192.0.2.1'), 4);
    assert.equal(count('stunRateLimited'), 6);
    assert.equal(answers(10, '192.0.2.2'), 4);
    assert.equal(answers(10, '10.0.0.1'), 10, 'exempt');
    stun.tick(1000);
    assert.equal(answers(10, '192.0.2.1'), 2);
  });

  it('count for the /64 and, with a larger limit, for the /48 of an IPv6 address', () => {
    const { receive, stun } = setUp({ limit });
    stun.tick(0);
    const answers = Array.from({ length: 40 }, (_, i) => receive(ask, `2001:db8:7:${(i >> 3).toString(16)}::${i + 1}`));
    assert.deepEqual(
      [0, 8, 16].map((from) => answers.slice(from, from + 8).reduce((sum, sent) => sum + sent, 0)),
      [4, 4, 0],
    );
    assert.equal(receive(ask, '2001:db8:8::1'), 1);
  });
});

describe('source sketch', () => {
  it('treats an IPv6 /64 as one source and an IPv4 address as one', () => {
    const sketch = new SourceSketch({ perSecond: 1, burst: 1, siteFactor: 4 });
    assert.ok(sketch.take('2001:db8:0:1::1'));
    assert.ok(!sketch.take('2001:db8:0:1:ffff::2'));
    assert.ok(sketch.take('2001:db8:0:2::1'));
    assert.ok(sketch.take('192.0.2.1'));
    assert.ok(!sketch.take('::ffff:192.0.2.1'));
    assert.ok(sketch.take('192.0.2.2'));
    assert.ok(!sketch.take('nonsense'));
  });

  it('seldom refuses one source for the requests of a thousand others', () => {
    const sketch = new SourceSketch({ perSecond: 1, burst: 1, siteFactor: 4 });
    let refused = 0;
    for (let i = 0; i < 1000; i++) if (!sketch.take(`198.51.${i >> 8}.${i & 255}`)) refused += 1;
    assert.ok(refused <= 20, `${refused} of 1000`);
  });

  it('drains slow rates too, and forgets a source that is quiet', () => {
    const sketch = new SourceSketch({ perSecond: 0.1, burst: 1, siteFactor: 4 });
    sketch.drain(0);
    assert.ok(sketch.take('192.0.2.1'));
    sketch.drain(9000);
    assert.ok(!sketch.take('192.0.2.1'));
    sketch.drain(10_000);
    assert.ok(sketch.take('192.0.2.1'));
  });
});
