/**
 * The plan of `towpath setup`. `questions.ts` asks, or reads flags. This file turns the answers into files and
 * commands. `test-answers.ts` tests them before anything is written. `machine.ts` is the machine that is changed.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { TowpathError } from '../../base/errors.ts';
import type { SetupAnswers } from './answers.ts';
import { configurationText } from './configuration.ts';
import type { Machine } from './machine.ts';
import { dropInText, UNIT_NAMES, unitText } from './units.ts';

/** Where a set-up writes. */
export interface SetupPlaces {
  readonly file: string;
  readonly stateDirectory: string;
  /** False: a service is neither installed nor started. */
  readonly wantsService: boolean;
}

/** A file to write. */
export interface PlannedFile {
  readonly path: string;
  readonly text: string;
  /** True when only its owner may read it. */
  readonly isPrivate: boolean;
  /** True when an existing file stays unchanged. */
  readonly isKept: boolean;
}

/** All actions of a set-up, in order. */
export interface SetupPlan {
  readonly files: readonly PlannedFile[];
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** Null when no service is installed. */
  readonly start: readonly string[] | null;
}

const DEFAULT_FILE = '/etc/towpath/towpath.yaml';
/** Folder in which systemd puts the credentials of the service. */
const CREDENTIALS = '/run/credentials/towpath.service';
const HOME = /^\/(?:home|root|run\/user)\//;

/** Returns the plan for these answers. Throws `TOWPATH_USAGE_SETUP` when they cannot work. */
export function planSetup(answers: SetupAnswers, places: SetupPlaces, machine: Machine): SetupPlan {
  const { file, stateDirectory } = places;
  const hasService = places.wantsService && machine.hasSystemd;
  const credentials = new Map<string, string>();
  const credential = (secret: string): string => {
    if (!hasService) return secret;
    const name = path.basename(secret);
    credentials.set(name, secret);
    return `${CREDENTIALS}/${name}`;
  };
  const files: PlannedFile[] = [
    ...answers.secrets.map((secret) => ({ path: secret.file, text: secret.text, isPrivate: true, isKept: false })),
    ...keyListFile(answers),
    { path: file, text: configurationText(answers, { stateDirectory, credential }), isPrivate: false, isKept: false },
  ];
  const start = [...machine.program, 'serve', '--config', file];
  if (!hasService) return { files, commands: [], start: null };
  refuseOtherState(stateDirectory, machine);
  refuseHome(machine);
  const installed = machine.packageUnitDirectories.some((folder) => existsSync(path.join(folder, 'towpath.service')));
  if (!installed) {
    for (const name of UNIT_NAMES) {
      files.push({
        path: path.join(machine.unitDirectory, name),
        text: unitText(name, machine.program),
        isPrivate: false,
        isKept: false,
      });
    }
  }
  const dropIn = dropInText(credentials, file === DEFAULT_FILE ? null : start);
  if (dropIn !== '') {
    const dropInPath = path.join(machine.unitDirectory, 'towpath.service.d', 'setup.conf');
    files.push({ path: dropInPath, text: dropIn, isPrivate: false, isKept: false });
  }
  const commands: SetupPlan['commands'] = [
    ['systemctl', 'daemon-reload'],
    ['systemctl', 'enable', ...UNIT_NAMES],
    ['systemctl', 'restart', ...UNIT_NAMES],
  ];
  return { files, commands, start };
}

/** Returns an empty key list. An existing list stays, because it may contain keys. */
function keyListFile({ admission }: SetupAnswers): PlannedFile[] {
  if (admission.kind !== 'keys') return [];
  const text =
    '# One node key per line, then a label. "tailscale status --json" shows the key of a node as Self.PublicKey.\n';
  return [{ path: admission.allowFile, text, isPrivate: false, isKept: true }];
}

/** Refuses another state directory: the unit makes only its own one writable. */
function refuseOtherState(stateDirectory: string, machine: Machine): void {
  if (stateDirectory === machine.stateDirectory) return;
  throw new TowpathError(
    'TOWPATH_USAGE_SETUP',
    `the service keeps its state in ${machine.stateDirectory}, not in ${stateDirectory}`,
    {
      hint: 'Leave --state-directory out, or use --no-service and start the relay yourself.',
    },
  );
}

/** Refuses a program below a home directory: the unit hides home directories. */
function refuseHome({ program }: Machine): void {
  const hidden = program.find((word) => HOME.test(word));
  if (hidden === undefined) return;
  throw new TowpathError(
    'TOWPATH_USAGE_SETUP',
    `the service cannot start ${hidden}: it does not see home directories`,
    {
      hint: 'Install towpath for all users (docs/install.md), or use --no-service and start it yourself.',
    },
  );
}
