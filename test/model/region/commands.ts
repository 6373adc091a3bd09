import fc from 'fast-check';
import { KEY_PAIRS } from '../packets.ts';
import { stepMaker } from '../random-steps.ts';
import { type Member, type RegionModel, RELAYS } from './model.ts';
import type { RegionWorld } from './world.ts';

const KEYS = KEY_PAIRS.length;
/** Most connections in a step, so that it stays short. */
const MOST_CONNECTIONS = 9;

type Command = fc.AsyncCommand<RegionModel, RegionWorld>;

const command = stepMaker<RegionModel, RegionWorld>();

const pick = (model: RegionModel, n: number): Member => model.open[n % model.members.size]!;
const isEmpty = (model: RegionModel): boolean => model.members.size === 0;
const hasRoom = (model: RegionModel): boolean => model.members.size < MOST_CONNECTIONS;
const index = fc.nat({ max: 30 });
const key = fc.nat({ max: KEYS - 1 });
const relay = fc.nat({ max: RELAYS - 1 });
const how = fc.constantFrom<'goodbye' | 'reset'>('goodbye', 'reset');
/** Two different relays. */
const pair = fc.tuple(relay, fc.nat({ max: RELAYS - 2 })).map(([at, n]) => [at, (at + 1 + n) % RELAYS] as const);

const connect = fc.tuple(key, relay).map(([who, where]) =>
  command(`connect(key ${who} at ${where})`, hasRoom, async (model, world) => {
    await world.connect(model, who, where);
  }),
);

const leave = fc.tuple(index, how).map(([who, way]) =>
  command(
    `leave(#${who}, ${way})`,
    (model) => !isEmpty(model),
    async (model, world) => {
      world.leave(model, pick(model, who), way);
      return Promise.resolve();
    },
  ),
);

/** A key connects to another relay and leaves the first one at once, before every relay knows of both. */
const move = fc.tuple(index, relay, how).map(([who, where, way]) =>
  command(
    `move(#${who} to ${where}, ${way})`,
    (model) => !isEmpty(model) && hasRoom(model),
    async (model, world) => {
      const member = pick(model, who);
      await world.connect(model, member.key, where);
      model.moved(member.key);
      world.leave(model, member, way);
    },
  ),
);

const send = fc.tuple(index, fc.nat({ max: KEYS }), fc.integer({ min: 1, max: 30 })).map(([who, to, count]) =>
  command(
    `send(#${who} to key ${to}, ${count})`,
    (model) => !isEmpty(model),
    async (model, world) => world.send(model, pick(model, who), to, count),
  ),
);

/** All clients send to all clients at the same time. */
const everyone = fc.integer({ min: 1, max: 3 }).map((count) =>
  command(
    `everyone(${count})`,
    (model) => !isEmpty(model),
    async (model, world) => sendAll(model, world, count, false),
  ),
);

const cut = pair.map(([from, to]) =>
  command(
    `cut(${from} to ${to})`,
    () => true,
    async (_model, world) => (await world.cut(from, to))(),
  ),
);

/** All clients send while a link is cut. Packets in the link may be lost, but no packet arrives twice or out of order. */
const cutBusy = pair.map(([from, to]) =>
  command(
    `cutBusy(${from} to ${to})`,
    (model) => !isEmpty(model),
    async (model, world) => {
      const [again] = await Promise.all([world.cut(from, to), sendAll(model, world, 3, true)]);
      await sendAll(model, world, 3, true);
      await again();
      await world.converged(model);
      await sendAll(model, world, 1, false);
    },
  ),
);

/** A client connects or leaves while a link is cut. */
const cutMeanwhile = fc.tuple(pair, key, index, fc.boolean()).map(([[from, to], who, other, joins]) =>
  command(
    `cutMeanwhile(${from} to ${to}, ${joins ? `connect(key ${who} at ${to})` : `leave(#${other})`})`,
    (model) => (joins ? hasRoom(model) : !isEmpty(model)),
    async (model, world) => {
      const again = await world.cut(from, to);
      if (joins) await world.connect(model, who, to);
      else world.leave(model, pick(model, other), 'reset');
      await again();
    },
  ),
);

const kill = relay.map((where) =>
  command(
    `kill(second thread of ${where})`,
    (model) => model.hasThreads,
    async (model, world) => world.kill(model, where),
  ),
);

/** All clients send while a thread ends. */
const killBusy = relay.map((where) =>
  command(
    `killBusy(second thread of ${where})`,
    (model) => model.hasThreads && !isEmpty(model),
    async (model, world) => {
      await sendAll(model, world, 3, true);
      await world.kill(model, where);
      await world.converged(model);
      await sendAll(model, world, 1, false);
    },
  ),
);

const end = fc.constantFrom<'drain' | 'close'>('drain', 'close');

const restart = fc.tuple(relay, end).map(([where, way]) =>
  command(
    `restart(${where}, ${way})`,
    () => true,
    async (model, world) => world.restart(model, where, way),
  ),
);

/** All clients send before a relay ends, and those of the other relays also while it is away. */
const restartBusy = fc.tuple(relay, end).map(([where, way]) =>
  command(
    `restartBusy(${where}, ${way})`,
    (model) => !isEmpty(model),
    async (model, world) => {
      await sendAll(model, world, 3, true);
      const others = model.open.filter((member) => member.relay !== where);
      await Promise.all([world.restart(model, where, way), sendFrom(others, model, world, 3)]);
      await world.converged(model);
      await sendAll(model, world, 1, false);
    },
  ),
);

async function sendFrom(
  members: readonly Member[],
  model: RegionModel,
  world: RegionWorld,
  count: number,
  mayBeLost = true,
): Promise<void> {
  await Promise.all(
    members.map(async (member) => {
      for (let to = 0; to < KEYS; to++) await world.send(model, member, to, count, mayBeLost);
    }),
  );
}

async function sendAll(model: RegionModel, world: RegionWorld, count: number, mayBeLost: boolean): Promise<void> {
  await sendFrom(model.open, model, world, count, mayBeLost);
}

function rare(arbitrary: fc.Arbitrary<Command>): fc.WeightedArbitrary<Command> {
  return { arbitrary, weight: 1 };
}

/** Each kind of command, repeated by its weight, for `fc.commands`. Commands that take a second are rare. */
export const COMMANDS: fc.Arbitrary<Command>[] = [
  ...[connect, connect, connect, connect, connect, connect],
  ...[leave, leave, leave, move, move],
  ...[send, send, send, everyone, everyone, everyone],
  ...[cut, cutBusy, cutMeanwhile],
  ...[fc.oneof({ arbitrary: everyone, weight: 4 }, ...[kill, killBusy, restart, restartBusy].map(rare))],
];
