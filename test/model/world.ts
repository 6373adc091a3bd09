import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { loadConfig } from '../../src/config/load.ts';
import { DropReason, PacketKind } from '../../src/observe/counters.ts';
import { formatNodeKey } from '../../src/wire/keys.ts';
import { TestRelay } from '../service/support.ts';
import { Inbox } from './inbox.ts';
import type { Expected, Kind, Member, Model, Policy } from './model.ts';
import { KEY_PAIRS, packetFrame } from './packets.ts';

/** Longest wait for something that must happen, in milliseconds. */
const DEADLINE_MS = 10_000;
/** "Not here" notices that may come at once; after that, one more per second. */
const NOTE_BURST = 3;

/** How a client is connected. */
export type Way = 'fast-start' | 'upgrade' | 'websocket';

/** The real connection of one member of the model. */
interface Connection {
  readonly client: DerpClient;
  readonly inbox: Inbox;
  readonly openedAt: number;
  /** Sequence number of the next packet that it sends. */
  sequence: number;
}

/** A real relay with real clients on real sockets, compared with the model after every command. */
export class World {
  readonly #relay: TestRelay;
  readonly #folder: string;
  readonly #connections = new Map<number, Connection>();
  /** Packets and notices of connections that have ended. */
  readonly #past = { packets: 0, notHere: 0 };

  private constructor(relay: TestRelay, folder: string) {
    this.#relay = relay;
    this.#folder = folder;
  }

  static async start(policy: Policy, mostPerKey: number): Promise<World> {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-model-'));
    const allowFile = path.join(folder, 'keys');
    writeList(allowFile, new Set());
    const relay = await TestRelay.start({
      TOWPATH_DUPLICATES: policy,
      TOWPATH_LIMITS_CONNECTIONS_PER_KEY: String(mostPerKey),
      TOWPATH_LIMITS_WRITE_DEADLINE_MS: '60000',
      TOWPATH_DRAIN_SECONDS: '0',
      TOWPATH_ADMISSION_SOURCES: JSON.stringify([{ kind: 'keys', name: 'list', allowFile, pollSeconds: 1 }]),
    });
    return new World(relay, folder);
  }

  async stop(): Promise<void> {
    await this.#relay.stop();
    rmSync(this.#folder, { recursive: true });
  }

  /** Connects, and checks that the result is that of the model. */
  async connect(result: ReturnType<Model['connect']>, key: number, way: Way): Promise<void> {
    const keys = KEY_PAIRS[key]!;
    const options = { keys, websocket: way === 'websocket', fastStart: way !== 'upgrade', timeoutMs: DEADLINE_MS };
    if (result === null) {
      await assert.rejects(this.#relay.client(options), { code: 'TOWPATH_CLIENT_REFUSED' });
      return;
    }
    const inbox = new Inbox();
    const client = await this.#relay.client({ ...options, handler: inbox });
    const connection: Connection = { client, inbox, openedAt: performance.now(), sequence: 0 };
    this.#connections.set(result.member.id, connection);
    if (result.ended !== null) await this.#ended([result.ended]);
  }

  /** Sends packets, each of `bytes`, and reports each to the model in the order in which the relay gets them. */
  async send(model: Model, member: Member, key: number, kind: Kind, bytes: number, count: number): Promise<void> {
    const connection = this.#of(member);
    for (let i = 0; i < count; i++) {
      const packet: Expected = { sender: member.id, sequence: connection.sequence++, kind, bytes };
      model.send(member, key, packet);
      await this.#write(connection, packetFrame(key, packet));
    }
  }

  setHome(member: Member, home: boolean): void {
    assert.ok(this.#of(member).client.notePreferred(home));
  }

  /** Sends a ping and waits for the pong: then the relay has handled all earlier frames, and all frames that it sent at once have arrived. */
  async ping(member: Member): Promise<void> {
    await this.#of(member).client.ping(DEADLINE_MS);
  }

  stall(member: Member): void {
    this.#of(member).client.pause();
  }

  /** Reads again, and waits until the relay has no packets left. */
  async resume(model: Model, member: Member): Promise<void> {
    this.#of(member).client.resume();
    await this.#balanced();
    model.ping(member);
    await this.ping(member);
    await this.#untilRead(this.#of(member), member);
  }

  async leave(member: Member, how: 'goodbye' | 'reset'): Promise<void> {
    const { client } = this.#of(member);
    if (how === 'goodbye') client.close();
    else client.abort();
    await this.#ended([member]);
  }

  /** Changes the list of keys and waits until the connections end that the model names. */
  async bar(barred: ReadonlySet<number>, expelled: readonly Member[]): Promise<void> {
    const before = this.#relay.lines.length;
    writeList(path.join(this.#folder, 'keys'), barred);
    const reloaded = (): boolean => this.#relay.lines.slice(before).some((line) => line.includes('key files reloaded'));
    await eventually(reloaded, 'the relay reads the list of keys');
    await this.#ended(expelled);
  }

  reload(bytesPerSecond: number, totalBytesPerSecond: number): void {
    const loaded = loadConfig({
      env: {
        TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: String(bytesPerSecond),
        TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: String(totalBytesPerSecond),
      },
    });
    // All other keys stay the same, also the admission source.
    this.#relay.relay.reload({ ...this.#relay.config, fairness: loaded.config.fairness });
  }

  /** Waits until all clients have the packets and notices of the model, and compares. */
  async agrees(model: Model): Promise<void> {
    for (const member of model.open) {
      if (!member.isStalled) await this.#untilRead(this.#of(member), member);
    }
    const { counters } = this.#relay.relay;
    const gauges = (): Record<string, unknown> =>
      Object.fromEntries(Object.keys(model.gauges).map((name) => [name, Reflect.get(counters, name)]));
    const same = (): boolean => JSON.stringify(gauges()) === JSON.stringify(model.gauges);
    await eventually(same, () => `gauges: found ${JSON.stringify(gauges())}, not ${JSON.stringify(model.gauges)}`);
    assert.ok(model.open.every((member) => !this.#of(member).inbox.isClosed));
  }

  /** Ends a run: all clients read, the counters must add up, the relay drains, and nothing may be left. */
  async finish(model: Model): Promise<void> {
    const { stalled } = model;
    if (stalled !== undefined) {
      stalled.isStalled = false;
      await this.resume(model, stalled);
    }
    for (const member of model.open) {
      model.ping(member);
      await this.ping(member);
    }
    await this.agrees(model);
    this.#compareTotals(model);
    const inboxes = model.open.map((member) => this.#of(member).inbox);
    await this.#relay.relay.drain();
    await this.#ended(model.open);
    // They may also get PeerGone for clients that leave before them.
    assert.ok(inboxes.every(({ restarts }) => restarts === 1));
    const { counters } = this.#relay.relay;
    await eventually(() => counters.openStreams === 0, 'no stream is open');
    for (const name of [
      'connections',
      'localKeys',
      'homeConnections',
      'duplicateKeys',
      'duplicateConnections',
    ] as const) {
      assert.equal(counters[name], 0, name);
    }
    const refusals = Object.entries(counters.refusals).filter(([, count]) => count > 0);
    const { notAdmitted, crowdedOut } = model.totals;
    const expected = Object.entries({ not_admitted: notAdmitted, key_connections: crowdedOut });
    assert.deepEqual(Object.fromEntries(refusals), Object.fromEntries(expected.filter(([, count]) => count > 0)));
    assert.deepEqual(
      this.#relay.lines.filter((line) => /unexpected|\\n {4}at /.test(line)),
      [],
    );
  }

  #compareTotals(model: Model): void {
    const { counters } = this.#relay.relay;
    const { totals } = model;
    const dropped = (...reasons: DropReason[]): number =>
      reasons.reduce<number>(
        (sum, reason) => sum + counters.dropPackets[reason]!.reduce((all, count) => all + count, 0),
        0,
      );
    const unknown = counters.dropPackets[DropReason.UnknownDestination]!;
    const disabled = counters.dropPackets[DropReason.DuplicateClient]!;
    const open = [...this.#connections.values()];
    const received = open.reduce((sum, { inbox }) => sum + inbox.received, this.#past.packets);
    const lost = model.open.reduce((sum, { possible }) => sum + possible.size, model.lost);
    const notHere = open.reduce((sum, { inbox }) => sum + inbox.notHere, this.#past.notHere);
    assert.deepEqual(
      {
        accepts: counters.accepts,
        packetsReceived: counters.packetsReceived,
        bytesReceived: counters.bytesReceived,
        discoPacketsReceived: counters.discoPacketsReceived,
        unknownOther: unknown[PacketKind.Other],
        unknownDisco: unknown[PacketKind.Disco],
        disabledOther: disabled[PacketKind.Other],
        disabledDisco: disabled[PacketKind.Disco],
        pings: counters.pingsReceived,
        pongs: counters.pongsSent,
        duplicateConnectionsEver: counters.totalDuplicateConnections,
        writeTimeouts: counters.writeTimeouts,
      },
      { ...omit(totals, 'notAdmitted', 'crowdedOut'), pongs: totals.pings },
    );
    assert.equal(
      counters.packetsReceived,
      counters.packetsSent + dropped(...Object.values(DropReason)),
      'packets add up',
    );
    const bytes = counters.dropBytes.flat().reduce((sum, count) => sum + count, 0);
    assert.equal(counters.bytesReceived, counters.bytesSent + bytes, 'bytes add up');
    const ofQueues = dropped(DropReason.QueueHead, DropReason.QueueTail, DropReason.GoneDisconnected);
    if (model.hasLeftUnread) {
      assert.ok(received <= counters.packetsSent);
      assert.ok(notHere <= counters.peerGoneNotHereFrames);
    } else {
      assert.equal(received, counters.packetsSent, 'what was sent was received');
      assert.equal(lost, ofQueues, 'what was lost was counted');
      assert.equal(notHere, counters.peerGoneNotHereFrames, 'notes about unknown keys');
    }
  }

  #of(member: Member): Connection {
    return this.#connections.get(member.id)!;
  }

  async #write({ client, inbox }: Connection, frame: Buffer): Promise<void> {
    while (!client.sendFrame(frame)) {
      await new Promise<void>((resolve) => {
        inbox.onDrained = resolve;
      });
    }
  }

  /** Waits until `member` has read its packets and notices, and compares them. */
  async #untilRead(connection: Connection, member: Member): Promise<void> {
    const { inbox } = connection;
    const look = (): boolean => {
      for (const name of inbox.take()) {
        if (!member.due.delete(name) && !member.possible.delete(name)) inbox.problems.push(`unexpected packet ${name}`);
      }
      return inbox.problems.length > 0 || (member.due.size === 0 && inbox.notices.length >= member.notices.length);
    };
    const missing = (): string =>
      `client ${member.id} lacks ${[...member.due.keys()].slice(0, 5).join(' ')} of ${member.due.size}, or notices: ` +
      `has ${inbox.notices.join(', ')}, needs ${member.notices.join(', ')}`;
    await eventually(look, missing);
    assert.deepEqual(inbox.problems, []);
    assert.deepEqual([...inbox.notices].sort(), [...member.notices].sort(), `what client ${member.id} is told`);
    inbox.notices.length = member.notices.length = 0;
    const seconds = (performance.now() - connection.openedAt) / 1000;
    const most = Math.min(member.unknownDisco, NOTE_BURST + Math.ceil(seconds));
    assert.ok(inbox.notHere <= most, `${inbox.notHere} notes about unknown keys`);
  }

  /** Waits until the relay has ended these connections, and adds what they had received. */
  async #ended(members: readonly Member[]): Promise<void> {
    for (const member of members) {
      const { client, inbox } = this.#of(member);
      // A client that does not read does not notice the end. The gauges show that the relay has ended it.
      if (member.isStalled) client.abort();
      await eventually(() => inbox.isClosed, `the end of client ${member.id}`);
      this.#past.packets += inbox.received;
      this.#past.notHere += inbox.notHere;
      this.#connections.delete(member.id);
    }
  }

  /** Waits until every packet that the relay received is written or dropped. */
  async #balanced(): Promise<void> {
    const { counters } = this.#relay.relay;
    const left = (): number =>
      counters.packetsReceived -
      counters.packetsSent -
      counters.dropPackets.flat().reduce((sum, count) => sum + count, 0);
    const problem = (): string => `${left()} packets are neither written nor dropped`;
    await eventually(() => left() === 0, problem);
  }
}

/** Waits until `condition` holds. */
async function eventually(condition: () => boolean, what: string | (() => string)): Promise<void> {
  const startedAt = performance.now();
  while (!condition()) {
    await delay(1);
    if (performance.now() - startedAt < DEADLINE_MS) continue;
    assert.fail(`not within ${DEADLINE_MS} ms: ${typeof what === 'string' ? what : what()}`);
  }
}

function writeList(file: string, barred: ReadonlySet<number>): void {
  const allowed = KEY_PAIRS.filter((_, i) => !barred.has(i));
  writeFileSync(
    file,
    `# ${barred.size} barred\n${allowed.map(({ publicKey }) => `${formatNodeKey(publicKey)}\n`).join('')}`,
  );
}

function omit<T extends object, K extends keyof T>(object: T, ...names: K[]): Omit<T, K> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name as K))) as Omit<T, K>;
}
