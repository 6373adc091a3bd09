import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Set by the build of an executable: the units by name, because an executable has no folder deploy/. */
declare const TOWPATH_UNITS: Readonly<Record<string, string>> | undefined;

/** The units of the relay; the service comes last. */
export const UNIT_NAMES = ['towpath.socket', 'towpath-http.socket', 'towpath-stun.socket', 'towpath.service'] as const;

const FOLDER = path.join(import.meta.dirname, '..', '..', '..', 'deploy', 'systemd');

/** The command of the service: a program and its first arguments. */
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
 * Returns a drop-in for the unit: files that only root may read, which systemd passes on under a name, and another path
 * of the configuration. Empty when neither is needed.
 */
export function dropInText(credentials: ReadonlyMap<string, string>, start: readonly string[] | null): string {
  const lines = [...credentials].map(([name, file]) => `LoadCredential=${name}:${file.replaceAll('%', '%%')}`);
  // An empty ExecStart removes the command of the unit.
  if (start !== null) lines.push('ExecStart=', `ExecStart=${start.map(quoted).join(' ')}`);
  return lines.length === 0 ? '' : `# Made by "towpath setup".\n[Service]\n${lines.join('\n')}\n`;
}

/** A word of a command line as systemd reads it. */
function quoted(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
