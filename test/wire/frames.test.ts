import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  encodeNotePreferred,
  encodePing,
  encodePong,
  SEND_PACKET_OVERHEAD_BYTES,
  writeSendPacket,
} from '../../src/wire/client-frames.ts';
import {
  DISCO_MAGIC,
  encodeFrame,
  encodeHealth,
  encodePeerGone,
  encodeRestarting,
  FrameType,
  KEEP_ALIVE_FRAME,
  looksLikeDisco,
  MAGIC,
  PeerGoneReason,
  writeFrameHeader,
} from '../../src/wire/frames.ts';

const AA = Buffer.alloc(32, 0xaa);
const BB = Buffer.alloc(32, 0xbb);
const HELLO = Buffer.from('hello');
const aa = AA.toString('hex');
const bb = BB.toString('hex');

function header(type: FrameType, payloadBytes: number): string {
  const buffer = Buffer.alloc(5);
  assert.equal(writeFrameHeader(buffer, 0, type, payloadBytes), 5);
  return buffer.toString('hex');
}

describe('frame headers', () => {
  it('statement 1: SendPacket of 1024', () => assert.equal(header(FrameType.SendPacket, 1024), '0400000400'));
  it('statement 2: KeepAlive', () => assert.equal(header(FrameType.KeepAlive, 0), '0600000000'));
  it('the whole range of lengths', () => assert.equal(header(FrameType.RecvPacket, 0xffff_ffff), '05ffffffff'));
});

describe('frames of §10.3', () => {
  const vectors: [string, Buffer, string][] = [
    ['RecvPacket', encodeFrame(FrameType.RecvPacket, AA, HELLO), `0500000025${aa}68656c6c6f`],
    ['ForwardPacket', encodeFrame(FrameType.ForwardPacket, AA, BB, HELLO), `0a00000045${aa}${bb}68656c6c6f`],
    ['KeepAlive', KEEP_ALIVE_FRAME, '0600000000'],
    ['NotePreferred home', encodeNotePreferred(true), '070000000101'],
    ['NotePreferred not home', encodeNotePreferred(false), '070000000100'],
    ['PeerGone', encodePeerGone(AA, PeerGoneReason.NotHere), `0800000021${aa}01`],
    ['WatchConns', encodeFrame(FrameType.WatchConns), '1000000000'],
    ['ClosePeer', encodeFrame(FrameType.ClosePeer, BB), `1100000020${bb}`],
    ['Ping', encodePing(Buffer.from('0102030405060708', 'hex')), '12000000080102030405060708'],
    ['Pong with the first 8 bytes', encodePong(Buffer.from('010203040506070809', 'hex')), '13000000080102030405060708'],
    ['Health', encodeHealth('BAD'), '1400000003424144'],
    ['healthy', encodeHealth(''), '1400000000'],
    ['Restarting', encodeRestarting(1, 2), '15000000080000000100000002'],
  ];
  for (const [name, frame, hex] of vectors) it(name, () => assert.equal(frame.toString('hex'), hex));

  it('SendPacket, written in place', () => {
    const buffer = Buffer.alloc(3 + SEND_PACKET_OVERHEAD_BYTES + 5);
    assert.equal(writeSendPacket(buffer, 3, BB, HELLO), buffer.length);
    assert.equal(buffer.toString('hex'), `0000000400000025${bb}68656c6c6f`);
  });
});

describe('magic bytes (§0.1)', () => {
  it('DERP and key', () => assert.equal(MAGIC.toString('hex'), '44455250f09f9491'));
  it('TS and balloon', () => assert.equal(DISCO_MAGIC.toString('hex'), '5453f09f92ac'));
});

describe('looksLikeDisco (§4.3)', () => {
  const disco = Buffer.concat([Buffer.of(1), DISCO_MAGIC, Buffer.alloc(56)]);

  it('takes 62 bytes with the magic, and not 61', () => {
    assert.equal(looksLikeDisco(disco, 1, 63), true);
    assert.equal(looksLikeDisco(disco, 1, 62), false);
  });

  it('looks at every byte of the magic', () => {
    for (let i = 1; i <= 6; i++) {
      const other = Buffer.from(disco);
      other[i] = other[i]! ^ 1;
      assert.equal(looksLikeDisco(other, 1, 63), false);
    }
  });
});
