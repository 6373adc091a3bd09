/**
 * What an operator does, from the package to its removal, with two real tailscaled, a real Headscale and a real systemd:
 * `npm run test:transcript`. Needs root, what `test/interop/peer-relay/run.sh` builds, and the packages in build/. Writes what it
 * did and saw to build/transcript.txt.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, VERSION } from '../../../scripts/packages/executable.ts';
import { CONTROL_URL, Headscale } from '../../interop/peer-relay/headscale.ts';
import { HUB_IP, Network } from '../../interop/peer-relay/network.ts';
import { until } from '../../interop/peer-relay/program.ts';
import { run } from '../command.ts';
import { makeBase } from '../base.ts';
import { nextDeb } from '../next-deb.ts';
import { SystemdRoot } from './systemd-root.ts';
import { Tailnet } from './tailnet.ts';

const { HEADSCALE: headscale, TAILSCALE_PROGRAMS: programs } = process.env;
if (headscale === undefined || programs === undefined) {
  throw new Error('HEADSCALE and TAILSCALE_PROGRAMS are not set: start it with npm run test:transcript');
}
/** What two tailscaled may notice of an upgrade, with much room for a busy machine. */
const MOST_GAP_MS = 2000;
const UNITS = ['towpath.socket', 'towpath-http.socket', 'towpath-stun.socket', 'towpath.service'];
const lines: string[] = [];

/** Adds to the transcript. */
function say(text: string): void {
  console.log(text);
  lines.push(text);
}

const folder = mkdtempSync('/tmp/tpt-');
const ends: (() => unknown)[] = [(): void => rmSync(folder, { recursive: true, force: true })];
try {
  const network = new Network();
  ends.push(() => network.remove());
  const control = await Headscale.start(network, headscale, folder);
  ends.push(() => control.program.stop());
  const root = path.join(folder, 'root');
  run('mkdir', [root]);
  run('tar', ['-C', root, '-xf', makeBase()]);
  const deb = path.join(ROOT, 'build', `towpath_${VERSION}_${run('dpkg', ['--print-architecture']).trim()}.deb`);
  const next = nextDeb(deb, path.join(root, 'next'));
  run('cp', [deb, path.join(root, 'towpath.deb')]);
  limitFiles(root);
  const system = await SystemdRoot.boot(network, root);
  ends.push(() => system.stop());
  try {
    await checkPackage(system, root, await installed(system, network, control), next);
  } catch (error) {
    console.log(system.runAnyway('journalctl', '--no-pager', '--lines=60'));
    throw error;
  }
} finally {
  for (const end of ends.reverse()) await end();
  writeFileSync(path.join(ROOT, 'build', 'transcript.txt'), `${lines.join('\n')}\n`);
}
process.exit(0);

/** Installs and configures the package; returns two nodes that use it. */
async function installed(system: SystemdRoot, network: Network, control: Headscale): Promise<Tailnet> {
  shell(system, 'apt-get install --yes --quiet=2 /towpath.deb');
  shell(
    system,
    `towpath setup --hostname ${HUB_IP} --network headscale --admit headscale --headscale-url ${CONTROL_URL} --certificate self-signed --force`,
  );
  shell(system, 'systemctl is-active towpath.service towpath.socket towpath-stun.socket');
  const tailnet = await Tailnet.join(network, control, programs!, folder);
  ends.push(() => tailnet.stop());
  return tailnet;
}

async function checkPackage(system: SystemdRoot, root: string, tailnet: Tailnet, next: string): Promise<void> {
  say(`a$ tailscale ping b: ${await tailnet.ping()}`);
  say(`a$ download from b: ${await tailnet.download()}`);
  const load = `towpath load latency https://127.0.0.1/derp --insecure --duration 1`;
  const refused = system.runAnyway('sh', '-c', load);
  assert.match(refused, /not_admitted|refused|admit/i, 'a stranger may not use the relay');
  say(`$ ${load}\n${indented(refused)}`);

  const key = readFileSync(path.join(root, 'var/lib/towpath/derper.key'), 'utf8');
  const main = mainProcess(system);
  const gap = await tailnet.longestGap(() => {
    shell(system, `apt-get install --yes --quiet=2 /${path.basename(next)}`);
  });
  say(
    `longest time without a message during the upgrade, of one each 10 ms: ${gap === 0 ? 'below 50' : Math.round(gap)} ms`,
  );
  assert.ok(gap < MOST_GAP_MS, `${gap} ms`);
  assert.notEqual(mainProcess(system), main, 'another process serves');
  const log = system.run('journalctl', '--unit=towpath.service', '--output=cat', '--no-pager');
  assert.match(log, /the previous one ends/, 'the new version has taken over the sockets');
  assert.doesNotMatch(log, /Main process exited/);
  await until('systemd has heard that it is ready', () =>
    system.run('systemctl', 'status', 'towpath').includes('Ready'),
  );
  say(
    indented(
      system.run(
        'sh',
        '-c',
        'systemctl status --lines=0 --no-pager towpath.service | head -n 9; dpkg-query -W towpath',
      ),
    ),
  );

  const second = mainProcess(system);
  shell(system, `kill -KILL ${second}`);
  await until('systemd starts it again', () => ![0, second].includes(mainProcess(system)));
  say(`a$ tailscale ping b: ${await tailnet.ping()}`);

  shell(system, 'apt-get purge --yes --quiet=2 towpath');
  assert.equal(readFileSync(path.join(root, 'var/lib/towpath/derper.key'), 'utf8'), key, 'the key stays');
  for (const unit of UNITS) assert.match(system.runAnyway('systemctl', 'is-active', unit), /inactive|failed/);
  assert.ok(!existsSync(path.join(root, 'etc/towpath')));
  shell(system, 'ls /var/lib/towpath');
}

/** A root of a container may not raise its limit of open files, which `LimitNOFILE=` of the unit does. */
function limitFiles(root: string): void {
  const most = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))![1]!;
  const dropIns = path.join(root, 'etc/systemd/system/towpath.service.d');
  mkdirSync(dropIns, { recursive: true });
  writeFileSync(path.join(dropIns, 'test.conf'), `[Service]\nLimitNOFILE=${most}\n`);
}

function mainProcess(system: SystemdRoot): number {
  return Number(system.run('systemctl', 'show', '--property=MainPID', '--value', 'towpath.service'));
}

/** Runs a command line as the operator does. */
function shell(system: SystemdRoot, command: string): void {
  say(`# ${command}\n${indented(system.run('sh', '-c', command))}`);
}

function indented(text: string): string {
  // dpkg writes its progress over the line before.
  const lines = text.trim().split('\n');
  return lines.map((line) => `  ${line.trimEnd().split('\r').at(-1)!}`).join('\n');
}
