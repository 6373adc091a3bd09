import { parseArgs } from 'node:util';
import type { RuntimeName } from '../../src/cli/runtime.ts';

/** The options of a soak run. With the defaults, two runs at the same time need less than one core. */
export interface SoakOptions {
  readonly durationMs: number;
  /** The runtime of the relay; the generator always runs on Node. */
  readonly runtime: RuntimeName;
  /** Connections that stay for the whole run, in pairs. */
  readonly held: number;
  /** Packets per second between the pairs. */
  readonly packets: number;
  /** Connects per second that exchange packets and leave. */
  readonly churn: number;
  /** Misbehaving connections per second, of all kinds in turn. */
  readonly mischief: number;
  /** Seconds between two peers that stop reading while other clients send to them. */
  readonly stallSeconds: number;
  /** Binding requests per second. */
  readonly stun: number;
  /** File for the samples and the result, or null. */
  readonly json: string | null;
}

export const SOAK_USAGE = `npm run soak -- --hours N | --minutes N [--runtime node|bun] [--json FILE]
  [--held 300] [--packets 500] [--churn 5] [--mischief 3] [--stall-seconds 8] [--stun 5]`;

const MAX_HOURS = 168;

/** Reads the command line; throws an Error that describes a wrong argument. */
export function parseSoakOptions(args: readonly string[]): SoakOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ hours: text, minutes: text, runtime: { ...text, default: 'node' }, json: text },
      ...{ held: { ...text, default: '300' }, packets: { ...text, default: '500' }, churn: { ...text, default: '5' } },
      ...{ mischief: { ...text, default: '3' }, 'stall-seconds': { ...text, default: '8' } },
      stun: { ...text, default: '5' },
    },
  });
  const { runtime } = values;
  if (runtime !== 'node' && runtime !== 'bun') throw new Error(`--runtime is node or bun, not "${runtime}"`);
  const hours =
    (values.hours === undefined ? 0 : positive('hours', values.hours)) +
    (values.minutes === undefined ? 0 : positive('minutes', values.minutes)) / 60;
  if (hours === 0) throw new Error('say for how long: --hours N or --minutes N');
  if (hours > MAX_HOURS) throw new Error(`--hours: at most ${MAX_HOURS}, because every sample is kept`);
  return {
    durationMs: hours * 3_600_000,
    runtime,
    held: 2 * Math.ceil(positive('held', values.held) / 2),
    packets: positive('packets', values.packets),
    churn: positive('churn', values.churn),
    mischief: positive('mischief', values.mischief),
    stallSeconds: positive('stall-seconds', values['stall-seconds']),
    stun: positive('stun', values.stun),
    json: values.json ?? null,
  };
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number <= 0) throw new Error(`--${name} is a number above 0, not "${text}"`);
  return number;
}
