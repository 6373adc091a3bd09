import { TowpathError } from '../../base/errors.ts';
import { CharacterSet } from '../../wire/character-set.ts';

/** How Go reads the value of a flag. */
export type GoFlagKind = 'bool' | 'int' | 'float' | 'string' | 'duration';

/** The flags of a command line by name; values are as written. */
export type GoFlags = ReadonlyMap<string, string>;

const AS_DERPER =
  'Give the flags as derper gets them: towpath migrate derper -- -hostname derp.example.com -verify-clients';
const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);
const INTEGER = /^[+-]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|\d+)$/;
const FLOAT = /^[+-]?(?:inf(?:inity)?|nan|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)$/i;
const NUMBER = new CharacterSet('0-9', '.');
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
/** `ms` is found before `m`. */
const UNITS = Object.keys(UNIT_MS);

/**
 * Reads a command line as Go's flag package does: `-x v`, `-x=v`, `--x`, booleans without a value. Throws
 * `TOWPATH_USAGE` for what Go refuses.
 */
export function parseGoFlags(argv: readonly string[], known: Readonly<Record<string, GoFlagKind>>): GoFlags {
  const flags = new Map<string, string>();
  let at = 0;
  while (at < argv.length) {
    const argument = argv[at++]!;
    const match = /^--?([^-=][^=]*)(?:=([^]*))?$/.exec(argument);
    if (match === null) throw usage(`${argument} is not a flag of derper`);
    const name = match[1]!;
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) throw usage(`derper has no flag -${name}`);
    let value = match[2];
    // Only a boolean needs no value. The next word is never its value.
    value ??= kind === 'bool' ? 'true' : argv[at++];
    if (value === undefined) throw usage(`-${name} needs a value`);
    if (!isValue(kind, value)) throw usage(`-${name}: "${value}" is not a ${WORDS[kind]}`);
    flags.set(name, value);
  }
  return flags;
}

const WORDS: Readonly<Record<GoFlagKind, string>> = {
  bool: 'boolean (true or false)',
  int: 'whole number',
  float: 'number',
  string: 'text',
  duration: 'duration, such as 2s or 1m30s',
};

function isValue(kind: GoFlagKind, value: string): boolean {
  switch (kind) {
    case 'bool':
      return TRUE.has(value) || FALSE.has(value);
    case 'int':
      return INTEGER.test(value);
    case 'float':
      return FLOAT.test(value);
    case 'duration':
      return parseGoDuration(value) !== null;
    case 'string':
      return true;
  }
}

/** The value of a boolean flag that was given. */
export function goBool(value: string): boolean {
  return TRUE.has(value);
}

/** The value of an integer flag that was given. */
export function goInt(value: string): number {
  const sign = value.startsWith('-') ? -1 : 1;
  const digits = value.replace(/^[+-]/, '');
  // Go takes a leading zero for octal, JavaScript does not.
  return sign * Number(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
}

/** Milliseconds of a Go duration such as `1m30s`; null when it is not one. */
export function parseGoDuration(text: string): number | null {
  const sign = text.startsWith('-') ? -1 : 1;
  const bare = text.replace(/^[+-]/, '');
  if (bare === '0') return 0;
  let ms = 0;
  let at = 0;
  while (at < bare.length) {
    const end = NUMBER.end(bare, at, bare.length);
    const number = Number(bare.slice(at, end));
    const unit = UNITS.find((one) => bare.startsWith(one, end));
    if (end === at || Number.isNaN(number) || unit === undefined) return null;
    ms += number * UNIT_MS[unit]!;
    at = end + unit.length;
  }
  return at === 0 ? null : sign * ms;
}

/** A command line that cannot be converted. */
export function usage(message: string, hint: string = AS_DERPER): TowpathError {
  return new TowpathError('TOWPATH_USAGE', message, { hint });
}
