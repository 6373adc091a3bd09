import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, VERSION } from '../../../scripts/packages/executable.ts';
import { CONTROL_URL } from '../../interop/peer-relay/headscale.ts';
import { HUB_IP } from '../../interop/peer-relay/network.ts';
import { until } from '../../interop/peer-relay/program.ts';
import { makeBase } from '../base.ts';
import { run } from '../command.ts';
import { debianArchitecture } from '../debian-packages.ts';
import { nextDeb } from '../next-deb.ts';
import type { Surroundings } from './surroundings.ts';
import { SystemdRoot } from './systemd-root.ts';
import type { Transcript } from './transcript.ts';

/** Longest silence between two tailscaled during an upgrade, in milliseconds, with a large reserve for a busy machine. */
const MOST_GAP_MS = 2000;
const UNITS = ['towpath.socket', 'towpath-http.socket', 'towpath-stun.socket', 'towpath.service'];
const STATUS = 'systemctl status --lines=0 --no-pager towpath.service | head -n 9; dpkg-query -W towpath';
const SETUP = `towpath setup --hostname ${HUB_IP} --network headscale --admit headscale --headscale-url ${CONTROL_URL} --certificate self-signed --force`;

/** Builds, installs, uses, upgrades and purges the Debian package, under a systemd of its own. */
export async function useDeb(surroundings: Surroundings): Promise<void> {
  const { network, folder, transcript } = surroundings;
  transcript.say('== The Debian package, under systemd');
  const architecture = debianArchitecture();
  const built = run('npm', ['run', '--silent', 'build:deb', architecture]);
  transcript.command(`# npm run build:deb ${architecture}`, built);
  const root = path.join(folder, 'root');
  run('mkdir', [root]);
  run('tar', ['-C', root, '-xf', makeBase()]);
  const deb = path.join(ROOT, 'build', `towpath_${VERSION}_${architecture}.deb`);
  const next = nextDeb(deb, path.join(root, 'next'));
  run('cp', [deb, path.join(root, 'towpath.deb')]);
  limitFiles(root);
  const system = await SystemdRoot.boot(network, root);
  surroundings.atEnd(() => system.stop());
  const shell = new Shell(system, transcript);
  try {
    shell.run('apt-get install --yes --quiet=2 /towpath.deb');
    shell.run(SETUP);
    shell.run('systemctl is-active towpath.service towpath.socket towpath-stun.socket');
    await surroundings.talk('# towpath', (argv) => system.runAnyway('towpath', ...argv));
    await upgrade(surroundings, system, shell, next);
    const main = mainProcess(system);
    shell.run(`kill -KILL ${main}`);
    await until('systemd starts it again', () => ![0, main].includes(mainProcess(system)));
    await surroundings.ping();
    purge(system, shell, root);
  } catch (error) {
    console.log(system.runAnyway('journalctl', '--no-pager', '--lines=60'));
    throw error;
  }
}

async function upgrade(surroundings: Surroundings, system: SystemdRoot, shell: Shell, next: string): Promise<void> {
  const main = mainProcess(system);
  await surroundings.replace(MOST_GAP_MS, () => shell.run(`apt-get install --yes --quiet=2 /${path.basename(next)}`));
  assert.notEqual(mainProcess(system), main, 'another process serves');
  const log = system.run('journalctl', '--unit=towpath.service', '--output=cat', '--no-pager');
  assert.match(log, /the previous one ends/, 'the new version has taken over the sockets');
  assert.doesNotMatch(log, /Main process exited/);
  await until('systemd has heard that it is ready', () =>
    system.run('systemctl', 'status', 'towpath').includes('Ready'),
  );
  shell.run(STATUS);
}

function purge(system: SystemdRoot, shell: Shell, root: string): void {
  const keyFile = path.join(root, 'var/lib/towpath/derper.key');
  const key = readFileSync(keyFile, 'utf8');
  shell.run('apt-get purge --yes --quiet=2 towpath');
  assert.equal(readFileSync(keyFile, 'utf8'), key, 'the key stays');
  for (const unit of UNITS) assert.match(system.runAnyway('systemctl', 'is-active', unit), /inactive|failed/);
  assert.ok(!existsSync(path.join(root, 'etc/towpath')));
  shell.run('ls /var/lib/towpath');
}

/** Root in a container may not raise the limit of open files, but `LimitNOFILE=` of the unit does. */
function limitFiles(root: string): void {
  const most = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))![1]!;
  const dropIns = path.join(root, 'etc/systemd/system/towpath.service.d');
  mkdirSync(dropIns, { recursive: true });
  writeFileSync(path.join(dropIns, 'test.conf'), `[Service]\nLimitNOFILE=${most}\n`);
}

function mainProcess(system: SystemdRoot): number {
  return Number(system.run('systemctl', 'show', '--property=MainPID', '--value', 'towpath.service'));
}

/** Runs command lines as the operator does. */
class Shell {
  readonly #system: SystemdRoot;
  readonly #transcript: Transcript;

  constructor(system: SystemdRoot, transcript: Transcript) {
    this.#system = system;
    this.#transcript = transcript;
  }

  run(command: string): void {
    this.#transcript.command(`# ${command}`, this.#system.run('sh', '-c', command));
  }
}
