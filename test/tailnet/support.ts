import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Clock, CLOCK_TICK_MS } from '../../src/base/clock.ts';
import { TailnetNode } from '../../src/tailnet/node.ts';
import type { NodeSettings } from '../../src/tailnet/node-settings.ts';
import { NodeState } from '../../src/tailnet/node-state.ts';
import { formatNodeKey } from '../../src/wire/keys.ts';
import { FakeControl } from './fake-control.ts';
import type { EventLog } from '../../src/base/event-log.ts';

/** Makes a state directory that is removed after the test. */
export function stateDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'tailnet-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A node with its own control server; both are started and stopped here. */
export class Bench {
  readonly control: FakeControl;
  readonly clock: Clock = new Clock();
  readonly directory: string;
  readonly lines: { level: string; message: string; fields: object }[] = [];
  readonly settings: NodeSettings;
  wallClock: () => number = Date.now;
  readonly #t: TestContext;
  #skipping: NodeJS.Timeout | undefined;

  private constructor(t: TestContext, control: FakeControl, settings: Partial<NodeSettings>) {
    this.#t = t;
    this.control = control;
    this.directory = stateDirectory(t);
    this.settings = {
      name: 'home',
      controlUrl: control.url,
      readAuthKey: () => 'auth-secret',
      hostname: 'relay',
      tags: [],
      region: 900,
      capabilityVersion: 131,
      caPem: null,
      mapBytes: 1_000_000,
      peers: 100,
      ...settings,
    };
  }

  static async open(t: TestContext, settings: Partial<NodeSettings> = {}): Promise<Bench> {
    const control = await FakeControl.start();
    const bench = new Bench(t, control, settings);
    bench.clock.start();
    t.after(async () => {
      bench.clock.stop();
      await control.stop();
    });
    return bench;
  }

  /** Advances the clock. */
  skip(ms: number): void {
    this.clock.stop();
    // After the nodes have stopped, which need the ticks.
    if (this.#skipping === undefined) this.#t.after(() => clearInterval(this.#skipping));
    clearInterval(this.#skipping);
    this.#skipping = setInterval(() => this.clock.tick(performance.now() + ms), CLOCK_TICK_MS);
  }

  /** Makes a node with the state on disk; it is stopped after the test. */
  node(): TailnetNode {
    const { settings } = this;
    const log = (level: string) => (fields: object, message: string) =>
      void this.lines.push({ level, message, fields });
    const logger: EventLog<'debug' | 'info' | 'warn'> = { debug: log('debug'), info: log('info'), warn: log('warn') };
    const node = new TailnetNode(settings, NodeState.open(this.directory, settings.name, settings.controlUrl), {
      clock: this.clock,
      log: logger,
      environment: {},
      wallClock: () => this.wallClock(),
    });
    this.#t.after(() => node.stop());
    return node;
  }

  /** Makes a first frame for `node`, with added or changed members. */
  firstFrame(node: TailnetNode, more: object = {}, self: object = {}): object {
    return {
      Node: {
        ID: 1,
        Name: 'relay.example.',
        Key: formatNodeKey(node.state.node.publicKey),
        Addresses: ['100.64.0.1/32'],
        HomeDERP: 900,
        MachineAuthorized: true,
        ...self,
      },
      DERPMap: { Regions: { 900: { Nodes: [{ HostName: 'x' }] } } },
      Peers: [],
      ...more,
    };
  }
}

/** Resolves as soon as `condition` holds; it is checked after each change of the node. */
export function until(node: TailnetNode, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!condition()) return;
      clearInterval(timer);
      resolve();
    };
    const timer = setInterval(look, 20);
    node.listener = { changed: look, keyChanged: look };
    look();
  });
}
