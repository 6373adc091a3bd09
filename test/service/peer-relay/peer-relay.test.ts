import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { formatNodeKey } from '../../../src/wire/keys.ts';
import { BAD_NETWORK, GRANT, MANY_BLOCK_BYTES, MANY_BYTES, overDerp, RelayWorld, TRIES } from './relay-world.ts';
import { transfer } from './transfer.ts';

suite('a peer relay', { timeout: 115_000 }, () => {
  test('carries bytes over moves and restarts, on a network that loses, doubles and reorders', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, b } = world;
    await world.connect();
    world.setFaults(BAD_NETWORK);
    const vni = await world.meet();
    await world.exchange();
    await world.exchange(MANY_BYTES, MANY_BLOCK_BYTES);

    await a.move();
    assert.equal(await a.ping(), false, 'the new address is not bound');
    world.setFaults(BAD_NETWORK);
    await world.bindUntilPing();
    await world.exchange();

    await world.restartRelay();
    assert.ok((await a.ping(5000)) && (await b.ping(5000)), `no handshake is needed\n${world.relay.lines.join('')}`);
    await world.exchange();
    await world.connect();
    assert.equal(await world.meet(), vni, 'the endpoint is the same');

    await world.restartRelay('endpoints');
    assert.equal(await a.ping(), false, 'the endpoint is gone');
    await world.connect();
    await transfer(overDerp(a, b), overDerp(b, a), 50_000);
    await world.meet();
    await world.exchange();
  });

  test('answers nobody whom the tailnet does not let, and ends what it does not let any more', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, b, control, relay } = world;
    await world.connect();
    await world.meet();
    control.broadcast({ PacketFilter: [] });
    await relay.until(
      () => relay.lines.some((line) => line.includes('cap/relay towards this node to no node')),
      'the problem is told',
    );
    for (let i = 0; i < TRIES && (await a.ping()); i++);
    assert.equal(await a.ping(), false, 'the endpoint has ended');
    assert.equal(await a.allocate(b, world.keys, 1), undefined);
    await relay.until(() => relay.lines.some((line) => line.includes('no_grant')), 'the refusal is told');
    control.broadcast({ PacketFilter: [GRANT] });
    await world.meet();
  });

  test('ends the endpoint of a key that is denied, gives it none through its partner, and takes it back', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, b, relay } = world;
    const key = formatNodeKey(b.nodeKeys.publicKey);
    await world.connect();
    await world.meet();
    await relay.relay.api.act('deny', { key, seconds: 3600 }, 'a test');
    for (let i = 0; i < TRIES && (await a.ping()); i++);
    assert.equal(await a.ping(), false, 'the endpoint has ended');
    assert.equal(await a.allocate(b, world.keys, 1), undefined);
    await relay.until(() => relay.lines.some((line) => line.includes('"reason":"denied"')), 'the refusal is told');
    await relay.relay.api.act('deny', { key, seconds: 0 }, 'a test');
    await world.meet();
    await relay.relay.api.act('disconnect', { key: formatNodeKey(a.nodeKeys.publicKey) }, 'a test');
    for (let i = 0; i < TRIES && (await a.ping()); i++);
    assert.equal(await a.ping(), false, 'to disconnect a node ends its endpoints');
  });

  test('ends endpoints of the process before when their nodes are removed, and not earlier', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, control } = world;
    await world.connect();
    await world.meet();
    const before = world.mapStreams;
    await world.restartRelay();
    await world.relay.until(() => world.mapStreams > before, 'the new process follows the network map');
    assert.ok(await a.ping(5000), 'the endpoint lives on');
    control.broadcast({ PeersRemoved: [3] });
    for (let i = 0; i < TRIES && (await a.ping()); i++);
    assert.equal(await a.ping(), false, 'the endpoint has ended with its node');
  });

  test('follows the node attributes about offload, and takes limits over as far as its memory goes', async (t) => {
    const world = await RelayWorld.open(t);
    const { relay, control } = world;
    await relay.until(() => world.mapStreams > 0 && relay.relay.health.ready, 'the network map is there');
    const has =
      (text: string): (() => boolean) =>
      () =>
        relay.lines.some((line) => line.includes(text));
    const node = { ID: 1, Addresses: ['100.64.0.1/32'], HomeDERP: 900, MachineAuthorized: true };
    control.broadcast({ Node: { ...node, CapMap: { 'disable-udp-gro': null, 'never-gso-equal-tail': null } } });
    await relay.until(has('"offload":{"gro":false,"gso":true,"neverEqualTail":true}'), 'the offload is another');
    control.broadcast({ Node: node });
    await relay.until(has('"offload":{"gro":true,"gso":true,"neverEqualTail":false}'), 'and comes back');

    const { config } = relay;
    const limits = {
      ...config.peerRelay.limits,
      endpointsPerNode: 0,
      endpoints: config.peerRelay.limits.endpoints + 1,
    };
    const { restart } = relay.relay.reload({ ...config, peerRelay: { ...config.peerRelay, limits } });
    assert.deepEqual(restart, ['peerRelay.limits.endpoints']);
    assert.ok(has('peerRelay.limits.endpoints can grow only with a restart')(), 'it says what needs a restart');
    await world.connect();
    assert.equal(await world.a.allocate(world.b, world.keys, 1), undefined, 'the other limits hold');
    await relay.until(has('node_limit'), 'and the refusal names them');
  });

  test('holds a node to the rate of its tier, and counts its bytes and those of DERP together', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, b, relay } = world;
    const key = a.nodeKeys.publicKey;
    const setTier = (tier: object | null): void => {
      const tiers = tier === null ? [] : [{ name: 'small', keys: [formatNodeKey(key)], ...tier }];
      const { fairness } = loadConfig({ env: { TOWPATH_FAIRNESS_TIERS: JSON.stringify(tiers) } }).config;
      relay.relay.reload({ ...relay.config, fairness });
    };
    const drops = async (): Promise<number> =>
      (await relay.relay.api.udpSessions(new URLSearchParams())).drops['node_rate'] ?? 0;
    const status = () => relay.relay.clients.status({ key: key.toString('hex'), source: 'open' });
    await world.connect();
    setTier({ bytesPerSecond: 200_000 });
    await world.meet();
    await world.exchange();
    assert.ok((await drops()) > 0, 'it sends more than its tier lets it');
    setTier(null);
    let before = -1;
    for (let i = 0; i < TRIES && before !== (await drops()); i++) {
      before = await drops();
      await world.exchange(300_000);
    }
    assert.equal(await drops(), before, 'a reload ends the limit of open endpoints');

    await relay.until(() => status().dayBytes >= 500_000, 'what it sent by UDP is counted');
    setTier({ bytesPerDay: status().dayBytes + 10_000_000, floorBytesPerSecond: 1000 });
    const used = status().dayBytes;
    for (let i = 0; i < 10; i++) a.derp!.send(b.nodeKeys.publicKey, Buffer.alloc(20_000));
    await relay.until(() => status().dayBytes >= used + 200_000, 'what it sent by DERP is counted with it');
    assert.equal(status().isOverQuota, false);
    setTier({ bytesPerDay: status().dayBytes + 1, floorBytesPerSecond: 1000 });
    for (let i = 0; i < TRIES && !status().isOverQuota; i++) await a.ping();
    await relay.until(() => status().isOverQuota, 'UDP uses the rest up');
    for (let i = 0; i < TRIES && (await a.ping()); i++);
    assert.equal(await a.ping(), false, 'its endpoint has ended');
  });

  test('keeps the endpoints of the process before when a start fails because a port is taken', async (t) => {
    const world = await RelayWorld.open(t);
    await world.connect();
    await world.meet();
    await world.relay.stop();
    const other = createSocket('udp4').bind(world.port);
    await once(other, 'listening');
    await assert.rejects(world.startRelay(), { code: 'TOWPATH_LISTEN_IN_USE' });
    other.close();
    await once(other, 'close');
    await world.startRelay();
    assert.ok(await world.a.ping(5000), `no handshake is needed\n${world.relay.lines.join('')}`);
  });

  test('does not share its state directory with another process', async (t) => {
    const world = await RelayWorld.open(t);
    await assert.rejects(world.startRelay(), { code: 'TOWPATH_DIRECTORY_TAKEN' });
  });

  test('answers STUN on its port', async (t) => {
    const world = await RelayWorld.open(t);
    const { stun } = world.relay.relay.addresses;
    assert.ok(stun.some(({ port }) => port === world.port));
  });
});
