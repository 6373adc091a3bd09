/** Tests install.sh in a root directory made by mmdebstrap: the files that it installs, and its refusals. Runs in name spaces of its own. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/packages/executable.ts';
import { run, runAnyway } from './command.ts';

const [root, deb] = process.argv.slice(2) as [string, string];
const name = path.basename(deb);
const release = path.join(root, 'release');

function install(env: Readonly<Record<string, string>>, ...args: string[]): string {
  const variables = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  return runAnyway('chroot', [root, 'env', ...variables, 'sh', '/release/install.sh', ...args]);
}

function isInstalled(): boolean {
  return existsSync(path.join(root, 'usr/bin/towpath'));
}

function writeSums(sum: string): void {
  writeFileSync(path.join(release, 'SHA256SUMS'), `${sum}  ${name}\n`);
}

run('mount', ['-t', 'proc', 'proc', path.join(root, 'proc')]);
run('mount', ['--rbind', '/dev', path.join(root, 'dev')]);
mkdirSync(release);
cpSync(deb, path.join(release, name));
cpSync(path.join(ROOT, 'install.sh'), path.join(release, 'install.sh'));
const sum = createHash('sha256').update(readFileSync(deb)).digest('hex');

console.log('  what is refused');
writeSums('0'.repeat(64));
assert.match(install({}, `/release/${name}`), /the checksum of .* is wrong/);
assert.match(install({}, '--fast'), /unknown flag --fast/);
assert.match(install({}), /say what to install/);
assert.match(install({}, '/release/towpath_0.1.0_riscv64.deb'), /is not a file/);
const other = name.includes('amd64') ? name.replace('amd64', 'arm64') : name.replace('arm64', 'amd64');
writeFileSync(path.join(release, other), '');
assert.match(install({}, `/release/${other}`), /is for another processor/);
assert.ok(!isInstalled());

console.log('  the checksum and the signature');
writeSums(sum);
const inside = (...command: string[]): string => run('chroot', [root, ...command]);
inside('minisign', '-G', '-W', '-f', '-p', '/minisign.pub', '-s', '/minisign.key');
inside('minisign', '-S', '-s', '/minisign.key', '-m', '/release/SHA256SUMS');
const TOWPATH_MINISIGN_KEY = readFileSync(path.join(root, 'minisign.pub'), 'utf8').trim().split('\n').at(-1)!;
const signed = { TOWPATH_MINISIGN_KEY, TOWPATH_URL: 'file:///release' };
writeSums(`${sum} `.trim().replace(/^./, (digit) => (digit === '0' ? '1' : '0')));
assert.match(install(signed), /the signature of SHA256SUMS is wrong/);
assert.ok(!isInstalled());
writeSums(sum);
const said = install(signed);
assert.match(said, /Signature: good \(minisign\)/);
assert.match(said, /Checksum: good/);
assert.match(said, /Next: towpath setup/);
assert.ok(isInstalled());
process.exit(0);
