import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { TargetOverrides } from '../tools/probe/target.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import type { ServerVerification } from '../transport/port.ts';
import { parsePin } from '../wire/pin.ts';

/** The flags of {@link addTargetFlags}. */
export interface TargetFlags {
  readonly region?: string;
  readonly pin?: string;
  readonly ca?: string;
  readonly insecure?: true;
}

/** Adds the flags that say which relay is meant and how its certificate is verified. */
export function addTargetFlags(command: Command): Command {
  return command
    .option('--region <id>', 'use only this region of the DERP map, by id or code')
    .addOption(
      new Option(
        '--pin <pin>',
        'accept only the certificate with this hash, written as "sha256-raw:" and 64 hex digits',
      )
        .argParser(pinOption)
        .conflicts(['ca', 'insecure']),
    )
    .addOption(
      new Option('--ca <file>', 'PEM file with the only certificate authorities to trust').conflicts('insecure'),
    )
    .option('--insecure', 'do not verify the certificate');
}

/** Returns the settings of the flags, which override those of the URL or the map. */
export async function targetOverrides(flags: TargetFlags): Promise<TargetOverrides> {
  const verify = verification(flags);
  return {
    ...(verify === null ? {} : { verify }),
    ...(flags.ca === undefined ? {} : { caPem: await readCa(flags.ca) }),
  };
}

/** Returns a parser of whole numbers from `least` to `most`. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

/** Returns how the flags verify the certificate; null when the URL or the map decides. */
function verification(flags: TargetFlags): ServerVerification | null {
  if (flags.insecure === true) return { kind: 'none' };
  return flags.pin === undefined ? null : { kind: 'pin', sha256: flags.pin };
}

async function readCa(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new TowpathError('TOWPATH_USAGE', `--ca: ${errorMessage(error)}`);
  }
}

function pinOption(text: string): string {
  const sha256 = parsePin(text);
  if (sha256 === null) throw new InvalidArgumentError('It must be "sha256-raw:" and 64 hex digits.');
  return sha256;
}
