import type { RefusalReason } from '../../src/observe/counters.ts';

/** Problems are repeated for hours when they are: only the first of each kind are worth words. */
const PROBLEMS_OF_A_KIND = 3;
const MAX_PROBLEMS = 50;

/** What the generator did and saw: the other side of the relay's counters. */
export class Ledger {
  /** Refusals that the relay must have counted. */
  readonly caused: Map<RefusalReason, number> = new Map();
  /** Refusals that the relay may have counted: it is a race whether it gets to see these connections. */
  readonly possible: Map<RefusalReason, number> = new Map();
  /** TCP connections to the relay's TLS port. */
  tcp = 0;
  /** Upgrades to DERP, handshake done or not. */
  upgrades = 0;
  /** Packets given to clients of ours. */
  packets = 0;
  stunSent = 0;
  stunAnswered = 0;
  /** Actions that were left out because too many were still under way. */
  skipped = 0;
  readonly problems: string[] = [];
  problemCount = 0;
  readonly #kinds = new Map<string, number>();

  /** A connection of ours gives the relay this reason to end it. */
  cause(reason: RefusalReason): void {
    this.caused.set(reason, (this.caused.get(reason) ?? 0) + 1);
  }

  /** The same for a connection that may be gone before the relay has it. */
  mayCause(reason: RefusalReason): void {
    this.possible.set(reason, (this.possible.get(reason) ?? 0) + 1);
  }

  /** Connections that the relay may not have seen at all. */
  get unseen(): number {
    return [...this.possible.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Something that must not happen did. Texts that differ in numbers only are of one kind. */
  problem(text: string): void {
    this.problemCount++;
    const kind = text.replaceAll(/\d+/g, '#');
    const known = this.#kinds.get(kind) ?? 0;
    if (known >= PROBLEMS_OF_A_KIND || this.problems.length >= MAX_PROBLEMS) return;
    this.#kinds.set(kind, known + 1);
    this.problems.push(`${new Date().toISOString()} ${text}`);
  }
}
