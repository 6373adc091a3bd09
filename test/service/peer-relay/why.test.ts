import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { UdpUseAnswer } from '../../../src/api/shapes.ts';
import type { UseCondition } from '../../../src/service/peer-relay/use-conditions.ts';
import { useReportText, type UseReport } from '../../../src/service/peer-relay/why.ts';
import { formatNodeKey } from '../../../src/wire/keys.ts';
import { ask } from '../../http/http-client.ts';
import { RelayWorld, TRIES } from './relay-world.ts';

/** Asks the running relay through its admin listener, as `towpath relay why` does. */
async function why(world: RelayWorld, node: string, other?: string): Promise<UseReport[]> {
  const query = new URLSearchParams({ node, ...(other === undefined ? {} : { other }), format: 'json' });
  const { port } = world.relay.relay.addresses.admin!;
  const { status, body } = await ask(port, `/peer-relay/why?${query.toString()}`);
  assert.equal(status, 200, body);
  return JSON.parse(body) as UseReport[];
}

function find(report: UseReport | undefined, code: UseCondition['code'], about: string): UseCondition {
  const found = report?.conditions.find((condition) => condition.code === code && condition.about === about);
  assert.ok(found !== undefined, `${code} of ${about} in ${JSON.stringify(report, null, 1)}`);
  return found;
}

const statusOf = (...place: Parameters<typeof find>): string => find(...place).status;

suite('why a node does not use the peer relay', { timeout: 60_000 }, () => {
  test('is told step by step: from no request over the binds to traffic', async (t) => {
    const world = await RelayWorld.open(t);
    const { a, b, relay } = world;
    await world.connect();
    await relay.until(() => world.control.updates.length > 0, 'the relay is known to the control server');
    const response = await a.allocate(b, world.keys);
    assert.ok(response !== undefined);
    a.use(response.endpoint, b);
    b.use(response.endpoint, a);

    const [asked] = await why(world, 'node2', '100.64.0.3');
    assert.deepEqual([asked?.tailnet, asked?.node, asked?.other, asked?.isUsed], ['home', 'node2', 'node3', false]);
    for (const code of ['key_valid', 'grant', 'connected', 'asked'] as const)
      for (const node of ['node2', 'node3']) assert.equal(statusOf(asked, code, node), 'met', `${code} of ${node}`);
    assert.equal(statusOf(asked, 'relay_ready', 'relay'), 'met');
    assert.match(find(asked, 'endpoint', 'node2').text, /connecting, node2 asked for it/);
    const missing = find(asked, 'bind_arrived', 'node3');
    assert.equal(missing.status, 'unmet');
    assert.match(missing.hint!, /Open the UDP ports/);

    const isBound = (report: UseReport | undefined): boolean =>
      report?.conditions.some(({ code, about, status }) => `${code} ${about} ${status}` === 'bound node2 met') ?? false;
    let half: UseReport | undefined;
    for (let i = 0; i < TRIES && !isBound(half); i++) {
      await a.bind();
      [half] = await why(world, formatNodeKey(a.nodeKeys.publicKey));
    }
    const from = `bound from 127.0.0.1:${a.port} on port ${world.port}`;
    assert.ok(find(half, 'bound', 'node2').text.includes(from), from);
    assert.equal(statusOf(half, 'bind_arrived', 'node3'), 'unmet');

    await world.bindUntilPing();
    const [open] = await why(world, 'node3', 'node2');
    assert.equal(open?.isUsed, true, JSON.stringify(open));
    assert.deepEqual(
      open.conditions.filter(({ status }) => status === 'unmet'),
      [],
    );
    const text = useReportText(open);
    assert.match(text, /^tailnet home: node3 and node2: the relay is used now\n {2}relay\n {4}✓ the relay is ready\n/);
    assert.match(text, /✓ it last sent \d+ s ago, \d+ packets and \d+ bytes in all\n/);
  });

  test('names what the tailnet is at fault for, and nodes that are not in it', async (t) => {
    const world = await RelayWorld.open(t);
    const { relay, control } = world;
    await world.connect();
    await world.meet();
    control.broadcast({
      PacketFilter: [],
      PeersChanged: [{ ID: 3, Name: 'node3.', Addresses: ['100.64.0.3/32'], Cap: 100, Expired: true, Online: false }],
    });
    await relay.until(
      () => relay.lines.some((line) => line.includes('cap/relay towards this node to no node')),
      'the grant is withdrawn',
    );
    const [report] = await why(world, 'node2', 'node3');
    assert.equal(report?.isUsed, false);
    assert.equal(statusOf(report, 'grant_missing', 'relay'), 'unmet');
    assert.equal(statusOf(report, 'grant', 'node2'), 'unmet');
    for (const code of ['key_valid', 'client_version', 'home_region', 'online'] as const)
      assert.equal(statusOf(report, code, 'node3'), 'unmet', code);
    assert.match(find(report, 'endpoint', 'node2').text, /no endpoint any more/);
    const [unknown] = await why(world, 'node9');
    assert.deepEqual([unknown?.node, statusOf(unknown, 'in_network_map', 'node9')], [null, 'unmet']);
    for (const relayItself of ['relay', '100.64.0.1', formatNodeKey(world.keys.nodeKey)]) {
      const [own] = await why(world, relayItself, 'node2');
      assert.match(find(own, 'in_network_map', relayItself).text, /the node of the relay itself/);
    }
    const [twice] = await why(world, 'node2', '100.64.0.2');
    assert.match(find(twice, 'in_network_map', '100.64.0.2').text, /the same node/);
    assert.equal(twice?.isUsed, false);
    const { port } = relay.relay.addresses.admin!;
    const api = JSON.parse((await ask(port, '/api/v1/udp-use?node=node9')).body) as UdpUseAnswer;
    assert.deepEqual([api.isOn, api.reports[0]?.conditions.at(-1)?.code], [true, 'in_network_map']);
    assert.equal((await ask(port, '/api/v1/udp-use')).status, 400);
    const { status, body } = await ask(port, '/peer-relay/why');
    assert.deepEqual([status, /parameter node is missing/.test(body)], [400, true], body);
  });
});
