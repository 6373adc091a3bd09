/**
 * The work of `towpath setup`: `questions.ts` asks, or reads flags; this file makes a plan of the answers: files and commands.
 * `test-answers.ts` tests it before anything is written, `machine.ts` is the machine that is changed.
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

/** A file that is to be written. */
export interface PlannedFile {
  readonly path: string;
  readonly text: string;
  /** Only its owner may read it. */
  readonly isPrivate: boolean;
  /** An existing one is left as it is. */
  readonly isKept: boolean;
}

/** Everything that a set-up does, in order. */
export interface SetupPlan {
  readonly files: readonly PlannedFile[];
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** Null: no service is made. */
  readonly start: readonly string[] | null;
}

const DEFAULT_FILE = '/etc/towpath/towpath.yaml';
/** Where systemd puts the credentials of the service. */
const CREDENTIALS = '/run/credentials/towpath.service';
const HOME = /^\/(?:home|root|run\/user)\//;

/** What has to be done for these answers. Throws `TOWPATH_USAGE_SETUP` when it cannot work. */
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

/** A list that is there may have keys in it. */
function keyListFile({ admission }: SetupAnswers): PlannedFile[] {
  if (admission.kind !== 'keys') return [];
  const text =
    '# One node key per line, then a label. "tailscale status --json" shows the key of a node as Self.PublicKey.\n';
  return [{ path: admission.allowFile, text, isPrivate: false, isKept: true }];
}

/** The unit gives its user this directory and no other. */
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

/** The service does not see home directories. */
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
