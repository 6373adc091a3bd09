import { TowpathError } from '../base/errors.ts';

const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, m: 60, h: 3600, d: 86_400 };

/**
 * Returns the seconds in the value of `--for`, such as `30min`; a number alone is seconds. Throws `TOWPATH_USAGE_TIME`
 * for any other text.
 */
export function secondsIn(text: string): number {
  const [, number = '', unit = 's'] = /^(\d{1,9})(s|min|m|h|d)?$/.exec(text) ?? [];
  if (number !== '') return Number(number) * SECONDS[unit]!;
  throw new TowpathError('TOWPATH_USAGE_TIME', `--for: ${text} is not a length of time`, {
    hint: 'Write a number with s, min, h or d, for example 30min.',
  });
}
