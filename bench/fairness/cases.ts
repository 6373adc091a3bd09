/** The `metrics` of `towpath load --json`; shares are parts of 1, times are in milliseconds, memory in bytes. */
export type LoadMetrics = Readonly<Record<string, number | null>>;

/** A metric in the report, and its required value. */
export interface Wanted {
  readonly title: string;
  readonly metric: string;
  /** Factor from the metric to `unit`. */
  readonly scale: number;
  readonly unit: string;
  readonly digits: number;
  /** Null: shown for information. */
  readonly bar: { readonly direction: '≤' | '≥'; readonly limit: number } | null;
}

/** One run of the load tester against one kind of relay. */
export interface FairnessCase {
  readonly name: string;
  readonly title: string;
  readonly scenario: 'fairness' | 'slow';
  readonly flags: readonly string[];
  /** Factor for the length of the run. */
  readonly longer: number;
  /** Configuration of the relay. */
  readonly environment: Readonly<Record<string, string>>;
  readonly wanted: readonly Wanted[];
}

const CAP_BYTES_PER_SECOND = 25_000_000;
const POLITE = ['--polite', '50', '--polite-rate', '1Mbit/s', '--greedy', '5'];

/** Returns the cases that have bars. In the last one, `stalled` receivers stop reading. */
export function fairnessCases(stalled: number): FairnessCase[] {
  return [
    {
      ...{ name: 'cap', title: '50 polite at 1 Mbit/s, 5 greedy, total of 200 Mbit/s', scenario: 'fairness' },
      ...{ flags: POLITE, longer: 1 },
      environment: { TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: String(CAP_BYTES_PER_SECOND) },
      wanted: [share(99), p99({ direction: '≤', limit: 20 }), jain({ direction: '≥', limit: 0.98 }), megabits()],
    },
    {
      ...{ name: 'saturated', title: '50 polite at 1 Mbit/s, 5 greedy, no total', scenario: 'fairness' },
      ...{ flags: POLITE, longer: 1 },
      environment: {},
      wanted: [share(97), p99(null), jain(null), megabits(), cpu()],
    },
    {
      ...{ name: 'stalled', title: `healthy pairs next to ${stalled} receivers that stop reading`, scenario: 'slow' },
      // The kernel buffers of the receivers must be full before packets wait in the relay.
      ...{ flags: ['--stalled', String(stalled)], longer: 3 },
      environment: {},
      wanted: [
        {
          title: 'lost by healthy pairs',
          metric: 'lost',
          scale: 1,
          unit: '',
          digits: 0,
          bar: { direction: '≤', limit: 0 },
        },
        p99(null),
        { title: 'cut off', metric: 'cut', scale: 1, unit: '', digits: 0, bar: { direction: '≥', limit: stalled } },
        { title: 'peak RSS', metric: 'server-rss', scale: 2 ** -20, unit: ' MiB', digits: 0, bar: null },
      ],
    },
  ];
}

function share(limit: number): Wanted {
  const title = 'delivered of what was due, worst polite pair';
  return { title, metric: 'polite-share', scale: 100, unit: ' %', digits: 2, bar: { direction: '≥', limit } };
}

function p99(bar: Wanted['bar']): Wanted {
  return { title: 'their p99 latency', metric: 'p99', scale: 1, unit: ' ms', digits: 1, bar };
}

function jain(bar: Wanted['bar']): Wanted {
  return { title: "Jain's index of the greedy", metric: 'jain', scale: 1, unit: '', digits: 4, bar };
}

function megabits(): Wanted {
  return {
    title: 'greedy together',
    metric: 'greedy-delivered-bits',
    scale: 1e-6,
    unit: ' Mbit/s',
    digits: 0,
    bar: null,
  };
}

function cpu(): Wanted {
  return { title: 'CPU of the relay', metric: 'server-cpu', scale: 100, unit: ' %', digits: 0, bar: null };
}
