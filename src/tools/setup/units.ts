import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Set where executables are built: the units by name, because an executable has no folder deploy/ beside it. */
declare const TOWPATH_UNITS: Readonly<Record<string, string>> | undefined;

/** The units of the relay; the service comes last. */
export const UNIT_NAMES = ['towpath.socket', 'towpath-http.socket', 'towpath-stun.socket', 'towpath.service'] as const;

const FOLDER = path.join(import.meta.dirname, '..', '..', '..', 'deploy', 'systemd');

/** How the service is started: a program and its first arguments. */
export type Program = readonly [string, ...string[]];

/** The text of a unit, with the command of this installation. */
export function unitText(name: string, program: Program): string {
  const text =
    typeof TOWPATH_UNITS === 'undefined' ? readFileSync(path.join(FOLDER, name), 'utf8') : TOWPATH_UNITS[name]!;
  return text
    .replace(/^# `command -v towpath`.*\n/m, '')
    .replace(/^ExecStart=\/usr\/bin\/towpath /m, `ExecStart=${program.map(quoted).join(' ')} `);
}

/**
 * What this relay needs besides its unit: files that only root may read, handed over under a name, and another place of
 * the configuration. Empty when it needs nothing.
 */
export function dropInText(credentials: ReadonlyMap<string, string>, start: readonly string[] | null): string {
  const lines = [...credentials].map(([name, file]) => `LoadCredential=${name}:${file.replaceAll('%', '%%')}`);
  // The first line takes the command of the unit away.
  if (start !== null) lines.push('ExecStart=', `ExecStart=${start.map(quoted).join(' ')}`);
  return lines.length === 0 ? '' : `# Made by "towpath setup".\n[Service]\n${lines.join('\n')}\n`;
}

/** A word of a command line as systemd reads it. */
function quoted(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
