import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { RUNTIME, VERSION } from '../base/version.ts';

/** Set by `npm run build:binary`. */
declare const TOWPATH_COMMIT: string | undefined;

/** `npm run compile` writes it into dist/: an installed package has no repository. */
const COMMIT_FILE = path.join(import.meta.dirname, '..', 'commit');
const ROOT = path.join(import.meta.dirname, '..', '..');
const COMMIT = /^[0-9a-f]{7,40}$/;

/** Returns one line for `towpath --version`: version, commit and runtime, with its line end. */
export function versionText(): string {
  return `towpath ${VERSION} (commit ${commit() ?? 'unknown'}, ${RUNTIME})\n`;
}

/** Returns the commit of this build, or null when it is unknown. */
function commit(): string | null {
  if (typeof TOWPATH_COMMIT === 'string') return commitIn(TOWPATH_COMMIT);
  try {
    if (existsSync(COMMIT_FILE)) return commitIn(readFileSync(COMMIT_FILE, 'utf8'));
    if (!existsSync(path.join(ROOT, '.git'))) return null;
    const git = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
    return git.status === 0 ? commitIn(git.stdout) : null;
  } catch {
    // The file cannot be read. The version is printed without the commit.
    return null;
  }
}

function commitIn(text: string): string | null {
  return COMMIT.test(text.trim()) ? text.trim() : null;
}
