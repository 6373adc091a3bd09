import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { writePrivateFile } from '../../base/private-file.ts';
import type { Machine } from './machine.ts';
import type { PlannedFile } from './plan.ts';

const PUBLIC_MODE = 0o644;
const PRIVATE_MODE = 0o700;

/**
 * Throws `TOWPATH_USAGE_SETUP` when one of the files exists with another text, unless it is the unchanged file of the
 * package.
 */
export function refuseExisting(files: readonly PlannedFile[], machine: Machine): void {
  const found = files.filter((file) => !file.isKept && isOther(file) && !machine.isUntouched(file.path));
  if (found.length === 0) return;
  const what = found.map((file) => file.path).join(', ');
  throw new TowpathError('TOWPATH_USAGE_SETUP', `already there: ${what}. Nothing was changed`, {
    hint: 'Use --force to replace it; the old file is kept with .old at its end.',
  });
}

/** Writes all files, each one completely or not at all. The old file stays as `FILE.old`. Calls `written` for
 * each. Throws `TOWPATH_SETUP_FILE` when one cannot be written; the ones before it stay. */
export function writeFiles(files: readonly PlannedFile[], written: (file: string) => void): void {
  for (const file of files) {
    if (file.isKept && existsSync(file.path)) continue;
    try {
      write(file);
    } catch (error) {
      throw new TowpathError('TOWPATH_SETUP_FILE', `${file.path} cannot be written: ${errorMessage(error)}`, {
        hint: 'Run "towpath setup" as root, or choose other places with --out and --state-directory.',
        cause: error,
      });
    }
    written(file.path);
  }
}

function write(file: PlannedFile): void {
  mkdirSync(path.dirname(file.path), { recursive: true });
  if (isOther(file)) {
    const old = readFileSync(file.path, 'utf8');
    if (file.isPrivate) writePrivateFile(`${file.path}.old`, old, { replace: true });
    else writeFileSync(`${file.path}.old`, old);
  }
  if (file.isPrivate) {
    writePrivateFile(file.path, file.text, { replace: true });
    return;
  }
  const temporary = `${file.path}.new`;
  writeFileSync(temporary, file.text);
  // Sets the mode again, because the umask of this process may be too strict: the user of the service must be able to
  // read it.
  chmodSync(temporary, PUBLIC_MODE);
  renameSync(temporary, file.path);
}

function isOther({ path: file, text }: PlannedFile): boolean {
  return existsSync(file) && readFileSync(file, 'utf8') !== text;
}

/**
 * Creates the directory for the key and the certificates, readable only by its owner, when there is no service that
 * creates it. Throws `TOWPATH_SETUP_FILE` when it cannot be made.
 */
export function makeStateDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: PRIVATE_MODE });
  } catch (error) {
    throw new TowpathError('TOWPATH_SETUP_FILE', `${directory} cannot be made: ${errorMessage(error)}`, {
      hint: 'Choose another place with --state-directory.',
      cause: error,
    });
  }
}
