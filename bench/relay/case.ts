import type { BenchOptions } from './options.ts';
import type { RelayFiles } from './programs.ts';
import type { Server, ServerName } from './server.ts';

/** A figure that a case gives. */
export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly digits: number;
  /** Whether its ratio to the server compared with is worth a column. */
  readonly ratio: boolean;
}

/** What one run of a case against one server gave. */
export interface Sample {
  readonly values: Readonly<Record<string, number | null>>;
  /** Part of a CPU that neither server nor generator used; null where it cannot be told. */
  readonly foreignShare: number | null;
  /** What a reader must know before believing the values. */
  readonly notes: readonly string[];
  /** Flags of the load generator. */
  readonly flags?: readonly string[];
}

/** What a case may need to know about its round. */
export interface RoundContext {
  readonly options: BenchOptions;
  readonly files: RelayFiles;
  /** Packets per second of the closed loop, by server, once that case has run in this round. */
  readonly ceilings: ReadonlyMap<ServerName, number>;
  /** Warm-up, number of windows and their length for `benchload`. */
  readonly windows: readonly string[];
}

/** How often a case gets a server of its own. */
export const Fresh = {
  /** Each time: memory or long-lived state is measured. */
  Always: 'always',
  /** Each time, but in the short mode one server serves a whole round. */
  WhenFull: 'when full',
  /** The cases of a round share a server, which is warm by then. */
  PerRound: 'per round',
} as const;
export type Fresh = (typeof Fresh)[keyof typeof Fresh];

/** One kind of load and what is measured under it. */
export interface Case {
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly Metric[];
  /** Pinned to its own CPU, or where the scheduler likes. */
  readonly pinned: boolean;
  readonly fresh: Fresh;
  /** Runs only in the first rounds, this many. */
  readonly rounds: number;
  /** Needs the rate that the case `closed` reached in the same round. */
  readonly needsCeiling: boolean;
  /** The relay measures how late its timers fire. */
  readonly loopDelay: boolean;
  /** Servers of this case only, instead of those that were asked for. */
  readonly servers?: readonly ServerName[];
  /** Further environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
  run(server: Server, context: RoundContext): Promise<Sample>;
}

/** What most cases have in common. */
export const ORDINARY: Pick<Case, 'pinned' | 'fresh' | 'rounds' | 'needsCeiling' | 'loopDelay'> = {
  pinned: true,
  fresh: Fresh.WhenFull,
  rounds: Infinity,
  needsCeiling: false,
  loopDelay: false,
};

/** A measurement during which others used more of the machine than this, as part of one CPU, is marked. */
export const FOREIGN_SHARE = 0.15;
/** The note of such a measurement. */
export const DISTURBED = 'others used the machine';
/** The note of a measurement in which the generator had no time left. */
export const GENERATOR_LIMITED = 'the generator was the limit';
