import type { Command } from 'commander';
import { TowpathError } from '../base/errors.ts';
import { addAdminFlags, readAdminFlags } from './admin-flags.ts';
import { helpNote } from './help-text.ts';
import { secondsIn } from './seconds.ts';

/** Words that may be given instead of a node key, and the configuration key that each one means. */
const COMMON_LIMITS: Readonly<Record<string, string>> = {
  all: 'fairness.perClient.bytesPerSecond',
  total: 'fairness.totalBytesPerSecond',
};
const FACTORS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };

interface LimitOptions {
  readonly rate?: string;
  readonly for?: string;
  readonly reset?: boolean;
}

/** Adds `towpath limit`. */
export function registerLimit(program: Command): void {
  addAdminFlags(program.command('limit'))
    .description('Change what a node key, or all of them, may send through the running relay')
    .argument('<key>', 'the node key; or all: each key that has no rate of its own; or total: all keys together')
    .option('--rate <rate>', 'bytes per second, with k, M or G for thousands, millions or billions; 0: no limit')
    .option('--for <time>', 'for how long: a number with s, min, h or d')
    .option('--reset', 'take the change back: what the configuration says holds again')
    .addHelpText(
      'after',
      helpNote(
        'The change of a key holds until it is taken back or the relay restarts, that of all keys until the configuration is read again. Example: towpath limit nodekey:… --rate 500k --for 1h',
      ),
    )
    .action(async (key: string, options: LimitOptions, command: Command) => {
      const value = rateOf(options);
      const seconds = options.for === undefined ? {} : { seconds: secondsIn(options.for) };
      const name = COMMON_LIMITS[key];
      const body = name === undefined ? { key, bytesPerSecond: value, ...seconds } : { name, value, ...seconds };
      const { message } = await readAdminFlags(command).act('limit', body);
      command.configureOutput().writeOut?.(`${message}\n`);
    });
}

/** Returns the bytes per second of the flags; null: the value of the configuration. */
function rateOf({ rate, reset }: LimitOptions): number | null {
  if ((rate === undefined) === (reset !== true)) {
    throw new TowpathError('TOWPATH_USAGE_RATE', 'limit needs either --rate or --reset', {
      hint: 'For example --rate 500k for 500,000 bytes per second.',
    });
  }
  if (rate === undefined) return null;
  const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) ?([kMG]?)B?(?:\/s)?$/.exec(rate) ?? [];
  if (number !== '') return Math.round(Number(number) * FACTORS[unit]!);
  throw new TowpathError('TOWPATH_USAGE_RATE', '--rate: this is not a rate', {
    hint: 'Write bytes per second as a number, with k, M or G for thousands, millions or billions: 500k, 1.5M.',
  });
}
