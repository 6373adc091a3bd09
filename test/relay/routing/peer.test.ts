import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DuplicatePolicy, Speech } from '../../../src/relay/routing/duplicates.ts';
import { LocalOrder } from '../../../src/relay/routing/event-order.ts';
import { Peer } from '../../../src/relay/routing/peer.ts';
import type { Recipient } from '../../../src/relay/routing/recipient.ts';
import { RecordingRecipient } from './support.ts';

const { LastWriter, DisableFighters } = DuplicatePolicy;

const order = new LocalOrder();

function speak(peer: Peer, connection: Recipient, policy: DuplicatePolicy): void {
  const speech = peer.speech(connection, policy);
  if (speech !== Speech.Nothing) peer.spoke(connection, speech, order.next());
}

function peerWith(count: number): {
  peer: Peer;
  connections: [RecordingRecipient, RecordingRecipient, RecordingRecipient];
} {
  const connections = ['a', 'b', 'c'].map((name) => new RecordingRecipient(name));
  const peer = new Peer(Buffer.alloc(32, 7));
  for (const connection of connections.slice(0, count)) peer.add(connection, order.next());
  return { peer, connections: connections as [RecordingRecipient, RecordingRecipient, RecordingRecipient] };
}

suite('connections with the same key', () => {
  test('§9.34 one client comes and goes and leaves nothing', () => {
    const {
      peer,
      connections: [a],
    } = peerWith(1);
    assert.equal(peer.active, a);
    peer.remove(a);
    assert.equal(peer.active, null);
    assert.equal(peer.size, 0);
  });

  test('§9.35 the second connection is active', () => {
    const {
      peer,
      connections: [, b],
    } = peerWith(2);
    assert.equal(peer.active, b);
  });

  test('§9.36 when the first leaves, the second is alone and active', () => {
    const {
      peer,
      connections: [a, b],
    } = peerWith(2);
    peer.remove(a);
    assert.equal(peer.active, b);
    assert.equal(peer.size, 1);
  });

  test('§9.37 last writer: whoever sent last is active', () => {
    const {
      peer,
      connections: [a, b, c],
    } = peerWith(3);
    for (const speaker of [a, b, a, c, c, a]) {
      speak(peer, speaker, LastWriter);
      assert.equal(peer.active, speaker);
    }
  });

  test('§9.38 last writer: when the active one leaves, the latest of the others takes over', () => {
    const {
      peer,
      connections: [a, b, c],
    } = peerWith(3);
    speak(peer, b, LastWriter);
    speak(peer, a, LastWriter);
    peer.remove(a);
    assert.equal(peer.active, b);
    peer.remove(b);
    assert.equal(peer.active, c);
  });

  test('§9.39 disabling: fighters are disabled, a newcomer is active, after it none, and the last one left is', () => {
    const {
      peer,
      connections: [a, b, c],
    } = peerWith(2);
    speak(peer, a, DisableFighters);
    assert.equal(peer.active, b, 'an older connection speaking once does not take over');
    speak(peer, b, DisableFighters);
    speak(peer, a, DisableFighters);
    assert.equal(peer.active, null);
    peer.add(c, order.next());
    assert.equal(peer.active, c);
    peer.remove(c);
    assert.equal(peer.active, null);
    peer.remove(b);
    assert.equal(peer.active, a);
  });

  test('§9.40 disabling: with three registered, the first speaking again disables all', () => {
    const {
      peer,
      connections: [a],
    } = peerWith(3);
    speak(peer, a, DisableFighters);
    assert.equal(peer.active, null);
  });

  test('§9.41 disabling: an older one speaking once does not take over, but does after the active one left', () => {
    const {
      peer,
      connections: [a, b],
    } = peerWith(2);
    speak(peer, a, DisableFighters);
    assert.equal(peer.active, b);
    peer.remove(b);
    assert.equal(peer.active, a);
  });
});
