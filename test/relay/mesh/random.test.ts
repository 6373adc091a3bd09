import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { Region, type RegionRelay } from './support.ts';

/** Steps of a run, few for `npm test`. `TOWPATH_TEST_STEPS` sets another number. */
const STEPS = Number(process.env['TOWPATH_TEST_STEPS'] ?? 40);
const RELAYS = 3;
const KEYS = 5;

interface Connection {
  readonly relay: RegionRelay;
  readonly client: DerpClient;
}

/** One key, its connection, and its latest packet from each connection of the others. */
interface Node {
  readonly keys: ReturnType<typeof generateNodeKeyPair>;
  connection: Connection | null;
  /** Names the connection: packets that were sent before a move may still be under way on the old path. */
  epoch: number;
  /** Number of the latest packet by the epoch of its sender. */
  readonly last: Map<number, number>;
}

const command = fc.record({
  what: fc.constantFrom('join', 'join', 'leave', 'cut', 'restart', 'send', 'send', 'send'),
  node: fc.nat(KEYS - 1),
  relay: fc.nat(RELAYS - 1),
  other: fc.nat(RELAYS - 1),
});

test('random joins, moves, leaves, cut links and restarts: who is there is reached, in order, and nobody twice', async (t) => {
  const seed = Number(process.env['TOWPATH_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const steps = fc.sample(command, { numRuns: STEPS, seed });
  const region = await Region.start(t, RELAYS);
  const nodes: Node[] = Array.from({ length: KEYS }, () => ({
    keys: generateNodeKeyPair(),
    connection: null,
    epoch: 0,
    last: new Map(),
  }));
  const faults: string[] = [];
  let number = 0;
  let epochs = 0;

  const join = async (index: number, relay: RegionRelay): Promise<void> => {
    const node = nodes[index]!;
    const client = await region.client(relay, {
      keys: node.keys,
      handler: {
        packet: (_source, buffer, from) => {
          const [sender, count] = [buffer.readUInt32BE(from), buffer.readUInt32BE(from + 4)];
          const before = node.last.get(sender) ?? 0;
          if (count <= before) faults.push(`${count} of ${sender} after ${before}`);
          node.last.set(sender, count);
        },
      },
    });
    // It is connected to both relays for some milliseconds.
    node.connection?.client.abort();
    node.connection = { relay, client };
    node.epoch = ++epochs;
  };

  /** Every connected node sends to every other one, again until all packets have arrived. */
  const converged = async (): Promise<void> => {
    const first = number + 1;
    await region.until(() => {
      number++;
      let missing = 0;
      for (const [i, from] of nodes.entries()) {
        for (const [j, to] of nodes.entries()) {
          if (i === j || from.connection === null || to.connection === null) continue;
          if ((to.last.get(from.epoch) ?? 0) >= first) continue;
          missing++;
          const packet = Buffer.alloc(8);
          packet.writeUInt32BE(from.epoch, 0);
          packet.writeUInt32BE(number, 4);
          from.connection.client.send(to.keys.publicKey, packet);
        }
      }
      return missing === 0;
    }, 'everyone reaches everyone');
  };

  for (const { what, node, relay, other } of steps) {
    const [here, there] = [region.relays[relay]!, region.relays[other]!];
    if (what === 'join') {
      await join(node, here);
    } else if (what === 'leave') {
      nodes[node]!.connection?.client.abort();
      nodes[node]!.connection = null;
    } else if (what === 'cut') {
      here.relay.router.closePeer(there.keyPair.publicKey);
    } else if (what === 'restart') {
      await here.stop();
      await here.start();
      for (const [i, { connection }] of nodes.entries()) if (connection?.relay === here) await join(i, here);
    } else {
      await converged();
    }
    assert.deepEqual(faults, [], `seed ${seed}`);
  }
  await converged();
  await region.meshed();
  // No relay knows a key that has left, and all relays know every connected key.
  const isRight = (): boolean =>
    region.relays.every((one) =>
      nodes.every(({ keys, connection }) => one.knows(keys.publicKey) === (connection !== null)),
    );
  await region.until(isRight, `the relays agree on who is there (seed ${seed})`);
  assert.deepEqual(faults, [], `seed ${seed}`);
});
