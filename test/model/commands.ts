import fc from 'fast-check';
import type { Kind, Member, Model } from './model.ts';
import { KEY_PAIRS, LEAST_DISCO_BYTES, LEAST_OTHER_BYTES } from './packets.ts';
import { stepMaker } from './random-steps.ts';
import type { Way, World } from './world.ts';

const KEYS = KEY_PAIRS.length;

/** Most connections in a run, so that it stays short. */
const MOST_CONNECTIONS = 10;
/** More packets than the buffers of both kernels and the relay's queue hold, so that a stalled client loses some. */
const FLOOD_PACKETS = 160;
const LARGEST_PACKET_BYTES = 65_536;
/** Most packets at once, so that they fit into the relay's queue for one client that reads. */
const MOST_AT_ONCE = 20;

type Command = fc.AsyncCommand<Model, World>;

const command = stepMaker<Model, World>();

/** Returns open connection number `n`, of those that read. */
function pick(model: Model, n: number): Member {
  const able = listening(model);
  return able[n % able.length]!;
}

/** Returns the connections that read. */
function listening(model: Model): readonly Member[] {
  return model.open.filter(({ isStalled }) => !isStalled);
}

const hasOpen = (model: Model): boolean => listening(model).length > 0;
const index = fc.nat({ max: 30 });
const key = fc.nat({ max: KEYS - 1 });
const way = fc.constantFrom<Way>('fast-start', 'upgrade', 'websocket');

/** Kind and size of packets; disco packets have a smaller queue in the relay. */
const packet: fc.Arbitrary<{ kind: Kind; bytes: number }> = fc.oneof(
  fc.record({ kind: fc.constant<Kind>('other'), bytes: fc.integer({ min: LEAST_OTHER_BYTES, max: 8192 }) }),
  fc.record({ kind: fc.constant<Kind>('disco'), bytes: fc.integer({ min: LEAST_DISCO_BYTES, max: 1200 }) }),
);

const connect = fc.tuple(key, way).map(([who, how]) =>
  command(
    `connect(key ${who}, ${how})`,
    (model) => model.members.size < MOST_CONNECTIONS,
    async (model, world) => world.connect(model.connect(who), who, how),
  ),
);

const send = fc
  .tuple(index, fc.nat({ max: KEYS + 1 }), packet, fc.integer({ min: 1, max: MOST_AT_ONCE }))
  .map(([who, to, { kind, bytes }, count]) =>
    command(`send(#${who} to key ${to}, ${count} ${kind} of ${bytes})`, hasOpen, async (model, world) => {
      const member = pick(model, who);
      await world.send(model, member, to, kind, bytes, count);
      model.ping(member);
      await world.ping(member);
    }),
  );

const sendLargest = fc.tuple(index, key).map(([who, to]) =>
  command(`send(#${who} to key ${to}, 2 of the largest)`, hasOpen, async (model, world) => {
    const member = pick(model, who);
    await world.send(model, member, to, 'other', LARGEST_PACKET_BYTES, 2);
    model.ping(member);
    await world.ping(member);
  }),
);

/** Several connections send at the same time. Their keys have one connection each, so that the order has no effect. */
const burst = fc
  .array(fc.tuple(index, key, packet, fc.integer({ min: 1, max: 4 })), { minLength: 2, maxLength: 6 })
  .map((parts) =>
    command(
      `burst(${parts.map(([who, to, { kind, bytes }, count]) => `#${who} to key ${to}, ${count} ${kind} of ${bytes}`).join('; ')})`,
      (model) => hasOpen(model) && listening(model).every((member) => model.count(member.key) === 1),
      async (model, world) => {
        await Promise.all(
          parts.map(([who, to, { kind, bytes }, count]) => world.send(model, pick(model, who), to, kind, bytes, count)),
        );
        for (const member of new Set(parts.map(([who]) => pick(model, who)))) {
          model.ping(member);
          await world.ping(member);
        }
      },
    ),
  );

const ping = index.map((who) =>
  command(`ping(#${who})`, hasOpen, async (model, world) => {
    model.ping(pick(model, who));
    await world.ping(pick(model, who));
  }),
);

const setHome = fc.tuple(index, fc.boolean()).map(([who, home]) =>
  command(`home(#${who}, ${home})`, hasOpen, async (model, world) => {
    const member = pick(model, who);
    model.setHome(member, home);
    world.setHome(member, home);
    model.ping(member);
    await world.ping(member);
  }),
);

/** Stalls one client at a time, so that all packets in the relay are for this one. */
const stall = index.map((who) =>
  command(
    `stall(#${who})`,
    (model) => hasOpen(model) && model.stalled === undefined,
    async (model, world) => {
      const member = pick(model, who);
      member.isStalled = true;
      world.stall(member);
      return Promise.resolve();
    },
  ),
);

const flood = index.map((who) =>
  command(
    `flood(#${who} to the stalled)`,
    (model) => hasOpen(model) && model.stalled !== undefined,
    async (model, world) => {
      const member = pick(model, who);
      const to = model.stalled!.key;
      // Another connection of the key may be the active one, and its queue does not hold a flood.
      if (model.count(to) > 1) return;
      await world.send(model, member, to, 'other', LARGEST_PACKET_BYTES, FLOOD_PACKETS);
      model.ping(member);
      await world.ping(member);
    },
  ),
);

const resume = fc.constant(
  command(
    'resume()',
    (model) => model.stalled !== undefined,
    async (model, world) => {
      const member = model.stalled!;
      member.isStalled = false;
      await world.resume(model, member);
    },
  ),
);

const leave = fc.tuple(index, fc.constantFrom('goodbye', 'reset')).map(([who, how]) =>
  command(
    `leave(#${who}, ${how})`,
    (model) => model.members.size > 0,
    async (model, world) => {
      const member = model.open[who % model.members.size]!;
      model.leave(member);
      await world.leave(member, how);
    },
  ),
);

const reload = fc.tuple(fc.constantFrom(0, 20_000_000), fc.constantFrom(0, 50_000_000)).map(([each, all]) =>
  command(
    `reload(${each}, ${all})`,
    () => true,
    (_model, world) => {
      world.reload(each, all);
      return Promise.resolve();
    },
  ),
);

const bar = fc
  .subarray(
    Array.from({ length: KEYS }, (_, i) => i),
    { minLength: 1 },
  )
  .map((barred) =>
    command(
      `bar(${barred.join(' ')})`,
      (model) => model.canBar,
      async (model, world) => world.bar(new Set(barred), model.bar(barred)),
    ),
  );

/** Each kind of command, repeated by its weight, for `fc.commands`. */
export const COMMANDS: fc.Arbitrary<Command>[] = [
  ...[connect, connect, connect],
  ...[send, send, send, sendLargest, burst, burst],
  ...[stall, flood, resume, leave, leave],
  ...[ping, setHome, reload, bar],
];
