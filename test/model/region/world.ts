import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { TestRelay } from '../../service/support.ts';
import { Inbox } from '../inbox.ts';
import { KEY_PAIRS, LEAST_OTHER_BYTES, packetFrame } from '../packets.ts';
import { RELAYS, type Member, type RegionModel, type Sent } from './model.ts';

const MESH_KEY = 'c0ffee'.padEnd(64, '0');
/** Longest wait for something that must happen on a busy machine, in milliseconds. */
const DEADLINE_MS = 20_000;
/** Client keys of each relay in addition to those of the members: that of an operator, with the mesh key. */
const OPERATORS = 1;
/** More than the delay of the clock of a relay. */
const LEAST_AGE_SECONDS = 0.3;

interface Connection {
  readonly client: DerpClient;
  readonly inbox: Inbox;
  /** Sequence number of the next packet that it sends. */
  sequence: number;
}

/** Three relays in this process, of two threads each where the mesh allows it, and clients on real sockets. */
export class RegionWorld {
  readonly #relays: TestRelay[];
  readonly #folder: string;
  readonly #operators: (DerpClient | null)[];
  readonly #connections = new Map<number, Connection>();
  #sent: Sent[] = [];

  private constructor(relays: TestRelay[], folder: string) {
    this.#relays = relays;
    this.#folder = folder;
    this.#operators = relays.map(() => null);
  }

  static async start(): Promise<RegionWorld> {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-region-'));
    writeFileSync(path.join(folder, 'mesh.key'), MESH_KEY, { mode: 0o600 });
    const relays = Array.from({ length: RELAYS }, (_, index) => startRelay(folder, index));
    const world = new RegionWorld(await Promise.all(relays), folder);
    for (const { relay, config, port } of world.#relays) {
      const others = world.#relays.filter((other) => other.port !== port);
      relay.reload({
        ...config,
        mesh: { ...config.mesh, with: others.map((other) => `http://127.0.0.1:${other.port}`) },
      });
    }
    return world;
  }

  async stop(): Promise<void> {
    for (const relay of this.#relays) await relay.stop();
    // Another error must not be hidden when something else has removed the folder.
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get hasThreads(): boolean {
    return this.#relays.every(({ relay }) => relay.threads !== null);
  }

  /** Starts again: only the operators are connected. */
  reset(): void {
    for (const { client } of this.#connections.values()) client.abort();
    this.#connections.clear();
    this.#sent = [];
  }

  async connect(model: RegionModel, key: number, relay: number): Promise<Member> {
    const before = this.#ofMainThread(relay, key);
    const inbox = new Inbox();
    const client = await this.#client(relay, { keys: KEY_PAIRS[key]!, handler: inbox });
    const isInMain = !this.hasThreads || [...this.#ofMainThread(relay, key)].some((number) => !before.has(number));
    const thread = isInMain ? 0 : 1;
    const member = model.connect(key, relay, thread);
    this.#connections.set(member.id, { client, inbox, sequence: 0 });
    return member;
  }

  /** Returns the numbers of the connections of a key in the main thread of a relay. */
  #ofMainThread(relay: number, key: number): ReadonlySet<number> {
    const name = KEY_PAIRS[key]!.publicKey.toString('hex');
    const sessions = this.#relays[relay]!.relay.threads?.snapshot().sessions ?? [];
    return new Set(
      sessions.filter((session) => session.thread === undefined && session.key === name).map(({ number }) => number),
    );
  }

  leave(model: RegionModel, member: Member, how: 'goodbye' | 'reset'): void {
    const { client } = this.#connections.get(member.id)!;
    if (how === 'goodbye') client.close();
    else client.abort();
    this.#connections.delete(member.id);
    model.leave(member);
  }

  /** Sends `count` packets, each of which must arrive unless `mayBeLost`. Resolves when the relay has handled them. */
  async send(model: RegionModel, from: Member, key: number, count: number, mayBeLost = false): Promise<void> {
    const connection = this.#connections.get(from.id)!;
    for (let i = 0; i < count; i++) {
      const packet = {
        sender: from.id,
        sequence: connection.sequence++,
        kind: 'other',
        bytes: LEAST_OTHER_BYTES,
      } as const;
      const name = `${packet.sender}/${packet.sequence}`;
      this.#sent.push({ name, key: from.key, candidates: model.candidates(from, key), mayBeLost });
      while (!connection.client.sendFrame(packetFrame(key, packet))) {
        await new Promise<void>((resolve) => (connection.inbox.onDrained = resolve));
      }
    }
    await connection.client.ping(DEADLINE_MS);
  }

  /**
   * Ends the link of relay `from` to relay `to`, as an operator with the mesh key may. Returns a function that waits until it
   * is open again.
   */
  async cut(from: number, to: number): Promise<() => Promise<void>> {
    // The age of a link shows whether it is a new one.
    await eventually(
      () => this.#link(from, to).ageSeconds > LEAST_AGE_SECONDS,
      () => 'the link is open for a while',
    );
    const before = this.#link(from, to).ageSeconds;
    const operator = this.#operators[to]!;
    operator.sendFrame(encodeFrame(FrameType.ClosePeer, this.#relays[from]!.relay.keyPair.publicKey));
    await operator.ping(DEADLINE_MS);
    let isCut = false;
    const isBack = (): boolean => {
      const { state, ageSeconds } = this.#link(from, to);
      isCut ||= state !== 'open' || ageSeconds < before;
      return isCut && state === 'open';
    };
    return () => eventually(isBack, () => `the link of relay ${from} to ${to} is open again`);
  }

  /** Ends the second thread of a relay as a fault would. Its connections end too. */
  async kill(model: RegionModel, relay: number): Promise<void> {
    const threads = this.#relays[relay]!.relay.threads!;
    const restarts = (): number => threads.states()[1]!.restarts;
    const before = restarts();
    this.#allowGone();
    await threads.kill(1);
    await this.#ended(model, (member) => member.relay === relay && member.thread === 1);
    await eventually(
      () => restarts() > before,
      () => `a second thread at relay ${relay}`,
    );
  }

  /**
   * Ends a relay, in the orderly way or at once, and starts it again with the same key and port. Its connections end.
   */
  async restart(model: RegionModel, relay: number, how: 'drain' | 'close'): Promise<void> {
    const test = this.#relays[relay]!;
    const { port } = test;
    this.#allowGone();
    if (how === 'drain') await test.relay.drain();
    await test.relay.close();
    await this.#ended(model, (member) => member.relay === relay);
    await test.stop();
    const others = this.#relays.filter((other) => other !== test);
    const startedAt = performance.now();
    for (;;) {
      try {
        this.#relays[relay] = await startRelay(this.#folder, relay, {
          TOWPATH_LISTEN: `127.0.0.1:${port}`,
          TOWPATH_MESH_WITH: others.map((other) => `http://127.0.0.1:${other.port}`).join(','),
        });
        return;
      } catch (error) {
        // Another program may have an outgoing connection from this port for a while.
        if (performance.now() - startedAt > DEADLINE_MS) throw error;
        await delay(100);
      }
    }
  }

  /** Waits until every relay knows the connections of the model. */
  async converged(model: RegionModel): Promise<void> {
    await this.#operate();
    await eventually(
      () => this.#problem(model) === null,
      () => this.#problem(model)!,
    );
  }

  /** Waits for {@link converged}, and until all clients have exactly the packets and notices of the model. */
  async agrees(model: RegionModel): Promise<void> {
    await this.converged(model);
    const waiting = new Map(this.#sent.map((sent) => [sent.name, sent]));
    const isDone = (): boolean => {
      for (const member of model.open) this.#take(model, member, waiting);
      return (
        ![...waiting.values()].some(({ candidates, mayBeLost }) => candidates.length > 0 && !mayBeLost) &&
        model.open.every((member) => lacking(this.#connections.get(member.id)!.inbox, member).length === 0)
      );
    };
    const missing = (): string =>
      [
        ...[...waiting.values()]
          .filter(({ candidates, mayBeLost }) => candidates.length > 0 && !mayBeLost)
          .slice(0, 5)
          .map(({ name, candidates }) => `packet ${name} for ${candidates.map(({ id }) => `#${id}`).join(' or ')}`),
        ...model.open.map(
          (member) => `#${member.id}: ${lacking(this.#connections.get(member.id)!.inbox, member).join(', ')}`,
        ),
      ].join('; ');
    await eventually(isDone, () => `missing: ${missing()}`);
    for (const member of model.open) this.#compareNotices(model, member);
    this.#sent = [...waiting.values()].filter((sent) => mayCome(sent));
    this.#allowGone();
  }

  /** Waits for the end of these connections, whose relay or thread has ended. */
  async #ended(model: RegionModel, isDead: (member: Member) => boolean): Promise<void> {
    for (const member of model.open.filter(isDead)) {
      const { inbox } = this.#connections.get(member.id)!;
      await eventually(
        () => inbox.isClosed,
        () => `the end of #${member.id}`,
      );
      this.#connections.delete(member.id);
      model.leave(member);
    }
  }

  /** Allows PeerGone for clients that may have received a packet of the sender. */
  #allowGone(): void {
    for (const { key, candidates, mayBeLost } of this.#sent) {
      if (!mayBeLost) continue;
      for (const { allowed } of candidates) if (!allowed.includes(`gone ${key}`)) allowed.push(`gone ${key}`);
    }
  }

  /** Takes the received packets of `member`, and checks that it may have them. */
  #take(model: RegionModel, member: Member, waiting: Map<string, Sent>): void {
    const { inbox } = this.#connections.get(member.id)!;
    for (const name of inbox.take()) {
      const sent = waiting.get(name);
      waiting.delete(name);
      if (sent?.candidates.includes(member) === true) model.received(sent.key, member);
      else
        inbox.problems.push(
          `#${member.id} has packet ${name}, which was ${sent === undefined ? 'not on its way' : 'not for it'}`,
        );
    }
    assert.deepEqual(inbox.problems, []);
    assert.ok(!inbox.isClosed, `#${member.id} was closed`);
  }

  #compareNotices(model: RegionModel, member: Member): void {
    const { inbox } = this.#connections.get(member.id)!;
    const told: string[] = [...inbox.notices];
    for (const notice of member.notices) told.splice(told.indexOf(notice), 1);
    for (const notice of told) {
      const at = member.allowed.indexOf(notice);
      assert.ok(
        at >= 0,
        `#${member.id} (key ${member.key} at relay ${member.relay}.${member.thread}) is told: ${notice}`,
      );
      member.allowed.splice(at, 1);
      model.toldAllowed(notice, member);
    }
    inbox.notices.length = member.notices.length = 0;
  }

  /** Returns what a relay does not know yet, or null. */
  #problem(model: RegionModel): string | null {
    for (const [index, { relay }] of this.#relays.entries()) {
      for (const [other] of this.#relays.entries()) {
        if (other === index) continue;
        const link = this.#link(index, other);
        // The announced keys: the clients and the operator there, and the link of the third relay.
        const keys = model.keysAt(other).size + OPERATORS + RELAYS - 2;
        if (link.state !== 'open' || link.keys !== keys)
          return `link of relay ${index} to ${other}: ${link.state}, ${link.keys} keys of ${keys}`;
      }
      const { localKeys, remoteKeys } = relay.ownCounters;
      const [local, remote] = [
        model.keysAt(index).size + OPERATORS + RELAYS - 1,
        model.keysElsewhere(index).size + OPERATORS * (RELAYS - 1),
      ];
      if (localKeys !== local || remoteKeys !== remote)
        return `relay ${index} has ${localKeys} keys of ${local}, and ${remoteKeys} of ${remote} elsewhere`;
    }
    return null;
  }

  #link(from: number, to: number): ReturnType<TestRelay['relay']['api']['mesh']>['links'][number] {
    const name = `http://127.0.0.1:${this.#relays[to]!.port}`;
    return this.#relays[from]!.relay.api.mesh().links.find((link) => link.name === name)!;
  }

  /** Connects the operators that are not connected. */
  async #operate(): Promise<void> {
    for (const [index, operator] of this.#operators.entries()) {
      if (operator?.isOpen === true) continue;
      this.#operators[index] = await this.#client(index, { info: { meshKey: Buffer.from(MESH_KEY, 'hex') } });
    }
  }

  async #client(relay: number, options: Parameters<TestRelay['client']>[0]): Promise<DerpClient> {
    const test = this.#relays[relay]!;
    return test.client({ url: `http://127.0.0.1:${test.port}/derp`, timeoutMs: DEADLINE_MS, ...options });
  }
}

/** Starts the relay with this index, whose key is in the folder. */
function startRelay(folder: string, index: number, env: Record<string, string> = {}): Promise<TestRelay> {
  return TestRelay.start({
    TOWPATH_TRANSPORT: 'plain',
    TOWPATH_THREADS: '2',
    TOWPATH_DUPLICATES: 'last-writer',
    TOWPATH_DRAIN_SECONDS: '0',
    TOWPATH_KEY_FILE: path.join(folder, `relay-${index}.key`),
    TOWPATH_MESH_KEY_FILE: path.join(folder, 'mesh.key'),
    // So that no packet is dropped because of its age on a slow machine.
    TOWPATH_LIMITS_QUEUE_MS: '60000',
    ...env,
  });
}

/**
 * Returns whether a packet that may be lost may still arrive. With one path to its destination, it would have arrived before the
 * packets that were sent later.
 */
function mayCome({ candidates }: Sent): boolean {
  return new Set(candidates.map(({ relay }) => relay)).size > 1;
}

/** Returns the notices that `member` must get and has not. */
function lacking(inbox: Inbox, member: Member): string[] {
  const told: string[] = [...inbox.notices];
  return member.notices.filter((notice) => {
    const at = told.indexOf(notice);
    if (at >= 0) told.splice(at, 1);
    return at < 0;
  });
}

async function eventually(condition: () => boolean, what: () => string): Promise<void> {
  const startedAt = performance.now();
  while (!condition()) {
    await delay(1);
    if (performance.now() - startedAt > DEADLINE_MS) assert.fail(`not within ${DEADLINE_MS} ms: ${what()}`);
  }
}
