import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BAD_NETWORK, BYTES, GRANT, overDerp, RelayWorld, TRIES } from './relay-world.ts';
import { transfer } from './transfer.ts';

suite('a peer relay', { timeout: 100_000 + BYTES / 40 }, () => {
  test('carries bytes over moves and restarts, on a network that loses, doubles and reorders', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, b } = world;
    await world.connect();
    world.setFaults(BAD_NETWORK);
    const vni = await world.meet();
    await world.exchange();

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

  test('answers STUN on its port', async (t) => {
    const world = await RelayWorld.open(t);
    const { stun } = world.relay.relay.addresses;
    assert.ok(stun.some(({ port }) => port === world.port));
  });
});
