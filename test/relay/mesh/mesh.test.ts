import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MESH_KEY, Received, Region } from './support.ts';

const OTHER_KEY = Buffer.alloc(32, 0x3f);
const DISCO = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);

suite('a region of relays', { concurrency: true }, () => {
  test('clients of different relays reach each other, in order, each packet once, and hear when one leaves', async (t) => {
    const region = await Region.start(t, 3);
    const clients = await Promise.all(region.relays.map((relay) => region.client(relay)));
    for (const client of clients) await region.known(client);
    const received = clients.map((client) => new Received(client));
    const rounds = 50;
    for (let i = 0; i < rounds; i++) {
      for (const from of clients)
        for (const to of clients) if (from !== to) from.send(to.publicKey, Buffer.from(`${i}`));
    }
    await region.until(() => received.every(({ packets }) => packets.length === 2 * rounds), 'all packets');
    for (const [i, { packets }] of received.entries()) {
      for (const from of clients) {
        if (from === clients[i]) continue;
        const hex = from.publicKey.toString('hex');
        const texts = packets.filter((line) => line.startsWith(hex)).map((line) => line.slice(65));
        assert.deepEqual(
          texts,
          Array.from({ length: rounds }, (_, n) => `${n}`),
        );
      }
    }
    const counters = region.relays.map(({ relay }) => relay.counters);
    assert.deepEqual(
      counters.map(({ packetsForwardedOut, packetsForwardedIn }) => [packetsForwardedOut, packetsForwardedIn]),
      counters.map(() => [2 * rounds, 2 * rounds]),
    );
    clients[0]!.close();
    const left = `${clients[0]!.publicKey.toString('hex')} 0`;
    await region.until(() => received.slice(1).every(({ gone }) => gone.includes(left)), 'the others hear of it');
    assert.ok(!region.relays.some((relay) => relay.knows(clients[0]!.publicKey)));
  });

  test('a client that moves to another relay is found there; one that is at both is served by the own relay', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    const sender = await region.client(a);
    const there = await region.client(b);
    await region.known(there);
    assert.ok(b.knows(there.publicKey));
    const first = new Received(there);
    sender.send(there.publicKey, Buffer.from('over the link'));
    await region.until(() => first.packets.length === 1, 'the packet');
    there.close();
    await region.until(() => !a.knows(there.publicKey), 'it has left');
    sender.send(there.publicKey, DISCO);
    const told = new Received(sender);
    await region.until(() => told.gone.length === 1, 'not here');
    assert.deepEqual(told.gone, [`${there.publicKey.toString('hex')} 1`]);
  });

  test('a relay that is started again is meshed again; who is still there never counts as gone meanwhile', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    const [stays, returns] = [await region.client(a), await region.client(b)];
    await region.known(stays);
    await region.known(returns);
    const received = new Received(stays);
    returns.send(stays.publicKey, Buffer.from('so that it would be told'));
    await region.until(() => received.packets.length === 1, 'the packet');
    await b.stop();
    await region.until(() => a.link(b)?.state !== 'open', 'the link is lost');
    assert.ok(a.knows(returns.publicKey), 'it may be back soon');
    await b.start();
    await region.meshed();
    await region.until(() => b.knows(stays.publicKey), 'the new one is told who is here');
    const again = new Received(stays);
    const sender = await region.client(b);
    sender.send(stays.publicKey, Buffer.from('again'));
    await region.until(() => again.packets.length === 1, 'a packet after the restart');
    await region.until(() => !a.knows(returns.publicKey), 'who did not come back is forgotten');
    const left = `${returns.publicKey.toString('hex')} 0`;
    await region.until(() => again.gone.includes(left), 'who received packets of it hears so');
    assert.equal(a.link(b)?.connects, 2);
  });

  test('an interrupted connection: keys stay, nobody hears that a present peer is gone', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    const [here, there] = [await region.client(a), await region.client(b)];
    await region.known(here);
    await region.known(there);
    const received = new Received(here);
    there.send(here.publicKey, Buffer.from('x'));
    await region.until(() => received.packets.length === 1, 'the packet');
    const connects = a.link(b)!.connects;
    b.relay.router.closePeer(a.keyPair.publicKey);
    await region.until(() => a.link(b)!.connects === connects + 1 && a.link(b)!.state === 'open', 'linked again');
    const reply = new Received(there);
    here.send(there.publicKey, Buffer.from('y'));
    await region.until(() => reply.packets.length === 1, 'a packet over the new connection');
    // Longer than the time for which unconfirmed earlier keys are kept.
    const endAt = region.clock.now + 2500;
    await region.until(() => region.clock.now > endAt, 'the resynchronisation is over');
    assert.deepEqual(received.gone, []);
    assert.ok(a.knows(there.publicKey));
  });

  test('a wrong mesh key is refused and named with the address, never with the key; a second key gets through', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    b.apply({ keys: [OTHER_KEY] });
    await region.until(() => a.events.some(({ kind }) => kind === 'refused_key'), 'a is refused');
    await region.until(() => b.refusals.some(([reason]) => reason === 'mesh_key'), 'b tells of it');
    const text = JSON.stringify([a.events, b.events, b.refusals, a.relay.links()]);
    // Two bytes would do, but the random node keys in the text have any two bytes now and then.
    for (const key of [MESH_KEY, OTHER_KEY]) assert.ok(!text.includes(key.toString('hex', 0, 8)));
    a.apply({ keys: [MESH_KEY, OTHER_KEY] });
    await region.until(() => a.link(b)?.state === 'open', 'a has tried its second key');
  });

  test('other authorities and another length of the queue apply without a new connection', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    const there = await region.client(b);
    await region.known(there);
    a.apply({ caPem: '-----BEGIN CERTIFICATE-----', queueBytes: 131_072 });
    assert.ok(a.knows(there.publicKey));
    await region.until(() => a.link(b)!.roundTripMs !== null, 'the link goes on');
    assert.equal(a.link(b)!.connects, 1);
    assert.equal(a.link(b)!.state, 'open');
    await b.stop();
    await region.until(() => a.link(b)!.state !== 'open', 'the other relay is gone');
    const here = await region.client(a);
    for (let i = 0; i < 200; i++) here.send(there.publicKey, Buffer.alloc(1000));
    await region.until(() => a.link(b)!.droppedPackets > 0, 'the queue is full');
    assert.ok(a.link(b)!.queuedBytes <= 131_072);
  });

  test('a relay that is told to link to itself notices and does not try again', async (t) => {
    const region = await Region.start(t, 1);
    const [a] = region.relays as [Region['relays'][0]];
    a.apply({ with: [a.entry] });
    await region.until(() => a.link(a)?.state === 'self', 'it notices');
    assert.equal(a.relay.links().length, 1);
    await region.until(() => a.relay.sessionCount === 0, 'the connection is closed');
  });

  test('two names of one relay make one link; the second takes over when its address is the only one left', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    const second = { ...b.entry, name: 'another name' };
    a.apply({ with: [b.entry, second] });
    const state = (name: string): string | undefined => a.relay.links().find((link) => link.name === name)?.state;
    await region.until(() => state('another name') === 'duplicate', 'the second is a duplicate');
    a.apply({ with: [second] });
    await region.until(() => state('another name') === 'open', 'the second is used');
  });

  test('one that has more clients than mesh.clientsPerRelay: it is said, and a larger limit counts from then on', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    a.apply({ clientsPerRelay: 1 });
    const first = await region.client(b);
    await region.known(first);
    const second = await region.client(b);
    await region.until(() => a.link(b)?.refusedKeys === 1, 'the second client is refused');
    assert.ok(a.knows(first.publicKey) && !a.knows(second.publicKey));
    assert.match(
      a.events.findLast(({ kind }) => kind === 'unused')!.detail,
      /more than 1 clients \(mesh\.clientsPerRelay\)/,
    );
    a.apply({ clientsPerRelay: 2 });
    const third = await region.client(b);
    await region.known(third);
    assert.equal(a.link(b)?.keys, 2);
  });

  test('after a change of the mesh keys, a refused link is tried again with the first of them, whatever was tried before', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    b.apply({ keys: [OTHER_KEY], with: [] });
    const tries = (): number => Object.values(a.link(b)!.failures).reduce((all, one) => all + one, 0);
    let before = 0;
    await region.until(() => {
      // After the end of its connection, it is refused an odd number of times: the second of two keys would be next.
      if (a.link(b)!.state !== 'waiting' || tries() % 2 === 1) return false;
      before = tries();
      a.apply({ keys: [OTHER_KEY, MESH_KEY] });
      return true;
    }, 'a is refused');
    await region.until(() => a.link(b)!.state === 'open', 'it is linked again');
    assert.equal(tries(), before, 'at the first attempt');
  });

  test('a link that is not wanted any more is closed, and its keys are forgotten', async (t) => {
    const region = await Region.start(t, 2);
    const [a, b] = region.relays as [Region['relays'][0], Region['relays'][0]];
    const there = await region.client(b);
    await region.known(there);
    a.apply({ with: [] });
    assert.deepEqual(a.relay.links(), []);
    assert.ok(!a.knows(there.publicKey));
    await region.until(() => !b.relay.snapshot().sessions.some(({ isMesh }) => isMesh), 'b sees it close');
  });
});
