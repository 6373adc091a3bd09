/**
 * The container image, read by skopeo, unpacked by umoci and run by crun: as a user without rights, on a root directory that
 * cannot be written, and without a shell. Runs in a network name space of its own (`unshare --net --mount --pid`).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run, runAnyway } from './command.ts';

const [archive, work, architecture] = process.argv.slice(2) as [string, string, string];
const MOST_BYTES = 150_000_000;
const USER_ID = 65_532;
const NAME = `towpath-${process.pid}`;
const READY_MS = 60_000;

/** Unpacks the image of one architecture; returns the folder with `rootfs` and `config.json` for a runtime. */
function unpack(wanted: string): string {
  const layout = path.join(work, `layout-${wanted}`);
  run('skopeo', ['--override-arch', wanted, 'copy', '--quiet', `oci-archive:${archive}`, `oci:${layout}:image`]);
  const bundle = path.join(work, `bundle-${wanted}`);
  run('umoci', ['unpack', '--image', `${layout}:image`, bundle]);
  return bundle;
}

function checkRoot(bundle: string, machine: RegExp): void {
  const root = path.join(bundle, 'rootfs');
  const bytes = Number(run('du', ['--bytes', '--summarize', root]).split('\t', 1)[0]);
  console.log(`  ${Math.round(bytes / 1e6)} MB unpacked`);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  for (const file of ['bin', 'bin/sh', 'usr/bin/sh', 'usr/bin/apt'])
    assert.ok(!existsSync(path.join(root, file)), file);
  assert.match(run('readelf', ['-h', path.join(root, 'usr/bin/towpath')]), machine);
  const state = statSync(path.join(root, 'var/lib/towpath'));
  assert.deepEqual([state.uid, state.mode & 0o777], [USER_ID, 0o700]);
}

interface Bundle {
  process: { user: { uid: number }; args: string[]; env: string[]; terminal?: boolean; noNewPrivileges?: boolean };
  root: { readonly?: boolean };
  mounts: { destination: string; type?: string; source?: string; options?: string[] }[];
  linux: { namespaces: { type: string }[]; resources?: object };
}

/** What `docker run --read-only --cap-drop ALL -v STATE:/var/lib/towpath` makes of the image. */
function configure(bundle: string, state: string, env: readonly string[]): void {
  const file = path.join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Bundle;
  assert.equal(config.process.user.uid, USER_ID);
  assert.deepEqual(config.process.args, ['/usr/bin/towpath', 'serve']);
  config.process = { ...config.process, terminal: false, noNewPrivileges: true, env: ['PATH=/usr/bin', ...env] };
  Object.assign(config.process, { capabilities: {} });
  config.root.readonly = true;
  config.mounts.push({ destination: '/var/lib/towpath', type: 'bind', source: state, options: ['rbind', 'rw'] });
  // The ports are those of this name space, which is empty.
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network' && type !== 'cgroup');
  // Not every machine that builds lets a process make control groups.
  config.mounts = config.mounts.filter(({ type }) => type !== 'cgroup');
  delete config.linux.resources;
  writeFileSync(file, JSON.stringify(config));
}

function crun(...args: string[]): string {
  return run('crun', ['--cgroup-manager=disabled', ...args]);
}

/** Starts the container, waits until its health check passes, calls `use`, and stops it. */
async function withContainer(bundle: string, use: () => void): Promise<void> {
  const child = spawn('crun', ['--cgroup-manager=disabled', 'run', '--bundle', bundle, NAME], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const ended = once(child, 'close') as Promise<[number | null]>;
  try {
    const until = performance.now() + READY_MS;
    let health = '';
    while (!health.startsWith('ready')) {
      if (child.exitCode !== null || performance.now() > until)
        throw new Error(`not ready: ${health} (exit code ${child.exitCode})`);
      await delay(100);
      health = runAnyway('crun', ['--cgroup-manager=disabled', 'exec', NAME, '/usr/bin/towpath', 'healthcheck']);
    }
    use();
    crun('kill', NAME, 'TERM');
    const [code] = await ended;
    assert.equal(code, 0);
  } catch (error) {
    console.log(output);
    throw error;
  } finally {
    child.kill('SIGKILL');
    runAnyway('crun', ['--cgroup-manager=disabled', 'delete', '--force', NAME]);
  }
}

/** Packets through the relay, as two clients. */
function relayed(): void {
  const load = ['load', 'latency', 'https://127.0.0.1/derp', '--insecure', '--duration', '1', '--fail-if', 'loss>0'];
  crun('exec', NAME, '/usr/bin/towpath', ...load);
}

run('ip', ['link', 'set', 'lo', 'up']);
// Docker does this in the name space of every container, so that no container needs a right for port 443.
run('sysctl', ['-q', '-w', 'net.ipv4.ip_unprivileged_port_start=0']);
// The numbers of processes are those of this name space.
run('mount', ['-t', 'proc', 'proc', '/proc']);
// crun refuses machines that have both versions of control groups; in this mount name space there is one.
runAnyway('umount', ['--recursive', '--lazy', '/sys/fs/cgroup']);
runAnyway('mount', ['-t', 'cgroup2', 'none', '/sys/fs/cgroup']);
const [own, other] = architecture === 'arm64' ? (['arm64', 'amd64'] as const) : (['amd64', 'arm64'] as const);
const MACHINES = { amd64: /X86-64/, arm64: /AArch64/ };
console.log('  unpacking');
const bundle = unpack(own);
checkRoot(bundle, MACHINES[own]);
checkRoot(unpack(other), MACHINES[other]);

console.log('  running');
const state = path.join(work, 'state');
mkdirSync(state, { mode: 0o700 });
chownSync(state, USER_ID, USER_ID);
configure(bundle, state, ['TOWPATH_HOSTNAME=127.0.0.1', 'TOWPATH_ADMISSION_OPEN=true']);
await withContainer(bundle, relayed);
assert.deepEqual(
  [statSync(path.join(state, 'derper.key')).uid, statSync(path.join(state, 'derper.key')).mode & 0o777],
  [USER_ID, 0o600],
);
process.exit(0);
