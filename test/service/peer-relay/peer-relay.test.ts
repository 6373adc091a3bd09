import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
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
    await relay.until(() => relay.lines.some((line) => line.includes('grants nobody')), 'the problem is told');
    for (let i = 0; i < TRIES && (await a.ping()); i++);
    assert.equal(await a.ping(), false, 'the endpoint has ended');
    assert.equal(await a.allocate(b, world.keys, 1), undefined);
    await relay.until(() => relay.lines.some((line) => line.includes('no_grant')), 'the refusal is told');
    control.broadcast({ PacketFilter: [GRANT] });
    await world.meet();
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
    assert.deepEqual(restart, ['peerRelay']);
    assert.ok(has('peerRelay.limits.endpoints grows with a restart alone')(), 'it says what needs a restart');
    await world.connect();
    assert.equal(await world.a.allocate(world.b, world.keys, 1), undefined, 'the other limits hold');
    await relay.until(has('node_limit'), 'and the refusal names them');
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
