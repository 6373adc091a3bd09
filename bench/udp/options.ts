import { parseArgs } from 'node:util';
import { CONTENDERS, type ContenderName } from './contender.ts';
import { ROWS, type RowName } from './row-names.ts';

/** What one start measures. */
export interface UdpOptions {
  readonly rounds: number;
  readonly contenders: readonly ContenderName[];
  readonly rows: readonly RowName[];
  /** Measurement time of each kind of load, in seconds. */
  readonly seconds: number;
  /** Megabytes in each direction between two tailscaled. */
  readonly megabytes: number;
  /** Time in seconds for which the nodes are silent, for the row `idle`. */
  readonly idleSeconds: number;
  readonly out: string | null;
}

/** Reads `--rounds 3 --contenders stock,node,bun --rows LIST --seconds 4 --megabytes 200 --idle-seconds 330 --out FILE`. */
export function readUdpOptions(argv: readonly string[]): UdpOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: 'string', default: '3' },
      contenders: { type: 'string', default: CONTENDERS.join(',') },
      rows: { type: 'string', default: ROWS.filter((row) => row !== 'idle').join(',') },
      seconds: { type: 'string', default: '4' },
      megabytes: { type: 'string', default: '200' },
      'idle-seconds': { type: 'string', default: '330' },
      out: { type: 'string' },
    },
  });
  return {
    rounds: Number(values.rounds),
    contenders: namesIn('contenders', values.contenders, CONTENDERS),
    rows: namesIn('rows', values.rows, ROWS),
    seconds: Number(values.seconds),
    megabytes: Number(values.megabytes),
    idleSeconds: Number(values['idle-seconds']),
    out: values.out ?? null,
  };
}

function namesIn<T extends string>(flag: string, list: string, names: readonly T[]): T[] {
  const wanted = list.split(',');
  const unknown = wanted.find((name) => !names.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`--${flag}: ${unknown} must be one of ${names.join(', ')}`);
  return names.filter((name) => wanted.includes(name));
}
