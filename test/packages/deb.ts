/**
 * The Debian package in a root directory made by mmdebstrap: installed, started, upgraded, removed and purged. Runs in
 * network and mount name spaces of its own (`unshare --net --mount`), so that the ports of the units are free.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { VERSION } from '../../scripts/packages/executable.ts';
import { run, runAnyway } from './command.ts';
import { NEXT_VERSION, nextDeb } from './next-deb.ts';
import { UnitProcess } from './unit-process.ts';

const [root, deb] = process.argv.slice(2) as [string, string];
const CONFIG = '/etc/towpath/towpath.yaml';
const KEY = '/var/lib/towpath/derper.key';
/** Highest allowed result of `systemd-analyze security`, of 100. */
const MOST_EXPOSURE = 20;
const APT = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };

/** Runs a command in the root directory. */
function inside(...command: string[]): string {
  return run('chroot', [root, ...command], APT);
}

function at(file: string): string {
  return path.join(root, file);
}

function install(file: string): string {
  run('cp', [file, at('/towpath.deb')]);
  return inside('apt-get', 'install', '--yes', '/towpath.deb');
}

function checkFiles(): void {
  assert.match(inside('towpath', '--version'), new RegExp(`^towpath ${VERSION.replaceAll('.', '\\.')} `));
  assert.match(inside('towpath', 'config', 'check', CONFIG), /ok/);
  assert.equal(inside('stat', '--format=%U %a', '/var/lib/towpath'), 'towpath 700\n');
  for (const file of [
    '/usr/share/man/man1/towpath.1.gz',
    '/usr/share/bash-completion/completions/towpath',
    '/usr/share/zsh/vendor-completions/_towpath',
    '/usr/share/fish/vendor_completions.d/towpath.fish',
    '/usr/share/doc/towpath/copyright',
    '/usr/lib/sysctl.d/90-towpath.conf',
  ]) {
    assert.ok(statSync(at(file)).size > 100, file);
  }
  run('bash', ['-n', at('/usr/share/bash-completion/completions/towpath')]);
}

/** Checks that the units are valid, and give the service few rights. */
function checkUnits(): void {
  const units = ['towpath.service', 'towpath.socket', 'towpath-http.socket', 'towpath-stun.socket'];
  const files = units.map((name) => at(`/usr/lib/systemd/system/${name}`));
  // The program is only in the root directory, so that this one message is allowed.
  const said = runAnyway('systemd-analyze', ['verify', '--man=no', ...files])
    .trim()
    .split('\n');
  assert.deepEqual(
    said.filter((line) => !line.includes('/usr/bin/towpath is not executable')),
    [],
  );
  const security = ['security', '--offline=true', '--no-pager', `--threshold=${MOST_EXPOSURE}`, files[0]!];
  console.log(`  ${run('systemd-analyze', security).trim().split('\n').at(-1)!.replace(/^\W*/, '')}`);
}

/** Packets through the relay, as two clients. */
function relayed(): string {
  return inside(
    ...['towpath', 'load', 'latency', 'https://127.0.0.1/derp', '--insecure', '--duration', '1', '--fail-if', 'loss>0'],
  );
}

mountSystem();
const upgrade = nextDeb(deb, at('/next'));
console.log('  installing');
assert.match(install(deb), /towpath setup/);
checkFiles();
checkUnits();

console.log('  starting the service as it is installed');
const service = await UnitProcess.open(root);
try {
  await service.start();
  assert.match(inside('towpath', 'healthcheck', '--config', CONFIG), /^ready/);
  assert.throws(relayed, /not_admitted|refused|admit/i, 'nobody may use a relay that is not configured');
  assert.equal(await service.stop(), 0);

  const edited = 'hostname: 127.0.0.1\nadmission:\n  open: true\n';
  writeFileSync(at(CONFIG), edited);
  await service.start();
  relayed();
  const key = readFileSync(at(KEY), 'utf8');

  console.log('  upgrading while it runs');
  install(upgrade);
  assert.equal(readFileSync(at(CONFIG), 'utf8'), edited, 'the configuration of the operator stays');
  relayed();
  assert.equal(await service.stop(), 0);
  // systemd holds the ports: who comes now waits until the new version accepts.
  const early = connect(443, '127.0.0.1');
  await once(early, 'connect');
  await service.start();
  early.destroy();
  relayed();
  assert.equal(readFileSync(at(KEY), 'utf8'), key, 'it is the same relay');
  assert.match(inside('dpkg-query', '-W', 'towpath'), new RegExp(NEXT_VERSION.replaceAll(/[.+]/g, String.raw`\$&`)));
  assert.equal(await service.stop(), 0);
} catch (error) {
  console.log(service.output);
  throw error;
} finally {
  service.close();
}

console.log('  removing, purging');
inside('apt-get', 'remove', '--yes', 'towpath');
assert.ok(existsSync(at(CONFIG)) && !existsSync(at('/usr/bin/towpath')));
assert.match(inside('apt-get', 'purge', '--yes', 'towpath'), /stay in \/var\/lib\/towpath/);
assert.ok(!existsSync(at('/etc/towpath')) && existsSync(at(KEY)), 'the key stays');
install(deb);
inside('env', 'TOWPATH_PURGE_STATE=yes', 'apt-get', 'purge', '--yes', 'towpath');
assert.ok(!existsSync(at('/var/lib/towpath')) && !inside('getent', 'passwd').includes('towpath'));
process.exit(0);

function mountSystem(): void {
  run('ip', ['link', 'set', 'lo', 'up']);
  run('mount', ['-t', 'proc', 'proc', at('/proc')]);
  run('mount', ['--rbind', '/dev', at('/dev')]);
}
