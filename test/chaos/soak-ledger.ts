import type { RefusalReason } from '../../src/observe/counters.ts';

/** Number of problems of one kind that are printed: a problem may repeat for hours. */
const PROBLEMS_OF_A_KIND = 3;
const MAX_PROBLEMS = 50;

/** The counts of the generator, to compare with the relay's counters. */
export class Ledger {
  /** Refusals that the relay must have counted. */
  readonly caused: Map<RefusalReason, number> = new Map();
  /** Refusals that the relay may have counted: some of these connections may be gone before it sees them. */
  readonly possible: Map<RefusalReason, number> = new Map();
  /** TCP connections to the relay's TLS port. */
  tcp = 0;
  /** Upgrades to DERP, handshake done or not. */
  upgrades = 0;
  /** Packets that our clients received. */
  packets = 0;
  stunSent = 0;
  stunAnswered = 0;
  /** Actions that were skipped because too many were still under way. */
  skipped = 0;
  readonly problems: string[] = [];
  problemCount = 0;
  readonly #kinds = new Map<string, number>();

  /** Records that one of our connections gives the relay this reason to end it. */
  cause(reason: RefusalReason): void {
    this.caused.set(reason, (this.caused.get(reason) ?? 0) + 1);
  }

  /** The same for a connection that may be gone before the relay accepts it. */
  mayCause(reason: RefusalReason): void {
    this.possible.set(reason, (this.possible.get(reason) ?? 0) + 1);
  }

  /** Connections that the relay may not have seen at all. */
  get unseen(): number {
    return [...this.possible.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Records a problem. Texts that differ only in numbers are of one kind. */
  problem(text: string): void {
    this.problemCount++;
    const kind = text.replaceAll(/\d+/g, '#');
    const known = this.#kinds.get(kind) ?? 0;
    if (known >= PROBLEMS_OF_A_KIND || this.problems.length >= MAX_PROBLEMS) return;
    this.#kinds.set(kind, known + 1);
    this.problems.push(`${new Date().toISOString()} ${text}`);
  }
}
