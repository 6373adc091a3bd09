import { errorMessage } from '../../src/base/errors.ts';
import { duplicate, stall, StunAsker, visit } from './soak-clients.ts';
import { FAULTS } from './soak-faults.ts';
import type { SoakOptions } from './soak-options.ts';
import { HeldPairs } from './soak-pairs.ts';
import { pause, PATIENCE_MS, type World } from './soak-world.ts';

const TRAFFIC_TURN_MS = 20;
const DUPLICATE_EVERY_MS = 10_000;
/** Most actions under way: a relay that does not answer must not fill the generator. */
const MAX_UNDER_WAY = 300;
/** Connections of one visit. */
const CONNECTS_PER_VISIT = 2;

/** All actions on the relay, each kind at its own rate. */
export class Scenario {
  readonly pairs: HeldPairs;
  readonly #world: World;
  readonly #options: SoakOptions;
  readonly #stun: StunAsker;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #owedPackets = 0;
  #trafficAt = 0;

  constructor(world: World, options: SoakOptions) {
    this.#world = world;
    this.#options = options;
    this.pairs = new HeldPairs(world);
    this.#stun = new StunAsker(world);
  }

  /** Connects the held pairs and starts the other actions. */
  async start(): Promise<void> {
    const { held, churn, mischief, stallSeconds, stun } = this.#options;
    await this.pairs.connect(held);
    await this.#stun.open();
    this.#trafficAt = performance.now();
    this.#timers.push(setInterval(() => this.#traffic(), TRAFFIC_TURN_MS));
    this.#timers.push(setInterval(() => this.#stun.ask(), 1000 / stun));
    this.#every((CONNECTS_PER_VISIT * 1000) / churn, 'a visit', (turn) => visit(this.#world, this.pairs, turn));
    this.#every(1000 / mischief, 'mischief', async (turn) => {
      const { name, reason, act } = FAULTS[turn % FAULTS.length]!;
      if (reason !== null) this.#world.ledger.cause(reason);
      try {
        await act(this.#world);
      } catch (error) {
        throw new Error(`${name}: ${errorMessage(error)}`, { cause: error });
      }
    });
    this.#every(stallSeconds * 1000, 'a stall', () => stall(this.#world));
    this.#every(DUPLICATE_EVERY_MS, 'a duplicate', () => duplicate(this.#world));
  }

  /** Waits until all actions are done, and disconnects all clients. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#underWay);
    await this.#stun.close();
    const { child } = this.#world.relay;
    const mayArrive = (): boolean => this.pairs.underWay > 0 && child.exitCode === null && child.signalCode === null;
    for (let waited = 0; mayArrive() && waited < PATIENCE_MS; waited += 100) await pause(100);
    if (this.pairs.underWay > 0) this.#world.ledger.problem(`${this.pairs.underWay} packets between pairs never came`);
    this.pairs.close();
  }

  #every(ms: number, what: string, act: (turn: number) => Promise<void>): void {
    let turn = 0;
    const begin = (): void => {
      if (this.#underWay.size >= MAX_UNDER_WAY) {
        this.#world.ledger.skipped++;
        return;
      }
      const done = act(turn++)
        .catch((error: unknown) => this.#world.ledger.problem(`${what}: ${errorMessage(error)}`))
        .finally(() => this.#underWay.delete(done));
      this.#underWay.add(done);
    };
    this.#timers.push(setInterval(begin, ms));
  }

  /** Sends the packets that are due since the last turn. */
  #traffic(): void {
    const now = performance.now();
    const elapsed = now - this.#trafficAt;
    this.#trafficAt = now;
    // After a pause of the whole machine, the missed packets are not sent.
    this.#owedPackets += (Math.min(elapsed, 1000) * this.#options.packets) / 1000;
    for (; this.#owedPackets >= 1; this.#owedPackets--) this.pairs.sendNext();
  }
}
