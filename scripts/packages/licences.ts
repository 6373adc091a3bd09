import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { ROOT } from './executable.ts';

const BUN = `Bun, the runtime inside the executable, is under the MIT licence. It contains JavaScriptCore and WebKit parts under the
LGPL 2.0 and BSD licences, BoringSSL, and other libraries; https://bun.com/docs/project/licensing lists all of them, with
the sources and how to build them again.`;

/** The licences of towpath and of everything that its executable contains, as text. */
export function licences(): string {
  const parts = [`towpath\n\n${read(path.join(ROOT, 'LICENSE'))}`, BUN];
  // Paths of the production packages, one a line; the first is towpath itself.
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: ROOT, encoding: 'utf8' });
  for (const folder of listed.trim().split('\n').slice(1).toSorted()) {
    const manifest = path.join(folder, 'package.json');
    if (!existsSync(manifest)) continue;
    const { name, version, license } = JSON.parse(read(manifest)) as Record<'name' | 'version' | 'license', string>;
    const file = readdirSync(folder).find((entry) => /^licen[cs]e(?:\.|$)/i.test(entry));
    const text = file === undefined ? `Licence: ${license}` : read(path.join(folder, file));
    parts.push(`${name} ${version}\n\n${text}`);
  }
  return `${parts.map((part) => part.trim()).join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

function read(file: string): string {
  return readFileSync(file, 'utf8');
}
