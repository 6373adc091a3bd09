/** Tests the npm package: it is made and installed without warnings, and an old Node gets a clear message. A git URL is tested by scripts/check-package.sh. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { ROOT } from '../../scripts/packages/executable.ts';
import { run, runAnyway } from './command.ts';

const [work] = process.argv.slice(2) as [string];
const prefix = path.join(work, 'prefix');
/** Without the folder node_modules/.bin of this repository, in which npm would find the compiler; this Node stays. */
const PATH = `${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
const OLD_NODE = '/usr/bin/node';

function assertQuiet(said: string): void {
  assert.deepEqual(
    said
      .split('\n')
      .filter((line) => /warn|error|deprecated|install-scripts/i.test(line) && !line.startsWith('npm notice')),
    [],
  );
}

console.log('  npm run pack, and npm install --global of the archive');
assertQuiet(run('npm', ['run', 'pack', '--', '--pack-destination', work], { PATH }));
const archive = run('sh', ['-c', `ls ${work}/towpath-*.tgz`]).trim();
assertQuiet(run('npm', ['install', '--global', '--no-fund', '--prefix', prefix, archive], { PATH }));
console.log(`  ${run(path.join(prefix, 'bin/towpath'), ['--version'], { PATH }).trim()}`);

const version = runAnyway(OLD_NODE, ['--version']).trim();
if (/^v(?:\d|1\d|2[0-3])\./.test(version)) {
  const old = runAnyway(OLD_NODE, [path.join(ROOT, 'bin/towpath.cjs'), 'serve']);
  assert.match(old, /needs Node\.js 24\.11 or newer; this is v\d/);
  assert.match(old, /nodejs\.org.*\n.*executable/);
  console.log(`  ${version} is told what to do`);
} else {
  console.log(`  not tested: an old Node, as ${OLD_NODE} is ${version === '' ? 'not there' : version}`);
}
