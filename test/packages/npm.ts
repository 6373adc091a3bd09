/** The package of npm: installed without noise from its archive, and from a git URL when that is asked for; what an old Node says. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { ROOT } from '../../scripts/packages/executable.ts';
import { run, runAnyway } from './command.ts';

const [work, source] = process.argv.slice(2) as [string, 'archive' | 'git'];
const prefix = path.join(work, 'prefix');
/** Without the folder node_modules/.bin of this repository, in which npm would find the compiler; this Node stays. */
const PATH = `${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
const OLD_NODE = '/usr/bin/node';

function installed(program: string): string {
  return run(path.join(prefix, program), ['--version'], { PATH }).trim();
}

console.log('  npm pack, and npm install --global of the archive');
run('npm', ['pack', '--silent', '--pack-destination', work]);
const archive = run('sh', ['-c', `ls ${work}/towpath-*.tgz`]).trim();
const said = run('npm', ['install', '--global', '--no-fund', '--prefix', prefix, archive], { PATH });
// npm 11 lists a script `prepare` that it does not run and that the built package does not need; a git URL needs it.
const noise = said
  .split('\n')
  .filter((line) => /warn|error|deprecated/i.test(line) && !line.startsWith('npm warn install-scripts'));
assert.deepEqual(noise, []);
console.log(`  ${installed('bin/towpath')}`);

if (source === 'git') {
  // npm builds it there, with the compiler that it installs for that.
  console.log('  npm install, from a git URL');
  const clone = path.join(work, 'clone');
  run('git', ['clone', '--quiet', '--no-hardlinks', ROOT, clone]);
  run('npm', ['install', '--prefix', prefix, `git+file://${clone}`], { PATH });
  console.log(`  ${installed('node_modules/.bin/towpath')}`);
}

const version = runAnyway(OLD_NODE, ['--version']).trim();
if (/^v(?:\d|1\d|2[0-3])\./.test(version)) {
  const old = runAnyway(OLD_NODE, [path.join(ROOT, 'bin/towpath.cjs'), 'serve']);
  assert.match(old, /needs Node\.js 24\.11 or newer; this is v\d/);
  assert.match(old, /nodejs\.org.*\n.*executable/);
  console.log(`  ${version} is told what to do`);
} else {
  console.log(`  not tested: an old Node, as ${OLD_NODE} is ${version === '' ? 'not there' : version}`);
}
