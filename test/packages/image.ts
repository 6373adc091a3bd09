/**
 * Tests the container image, read by skopeo, unpacked by umoci and run by crun: as a user without rights, on a root directory that
 * cannot be written, and without a shell. Runs in a network name space of its own (`unshare --net --mount --pid`).
 */
import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { run } from './command.ts';
import { configureBundle, Container, copyImage, TOWPATH, unpackImage, USER_ID } from './container.ts';

const [archive, work, architecture] = process.argv.slice(2) as [string, string, string];
const MOST_BYTES = 150_000_000;

/** Unpacks the image of one architecture, and checks its files; returns the bundle. */
function unpack(wanted: string, machine: RegExp): string {
  const layout = path.join(work, `layout-${wanted}`);
  const bundle = path.join(work, `bundle-${wanted}`);
  copyImage(archive, wanted, layout);
  unpackImage(layout, 'image', bundle);
  checkRoot(bundle, machine);
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

run('ip', ['link', 'set', 'lo', 'up']);
// Docker does this in the name space of every container, so that no container needs a right for port 443.
run('sysctl', ['-q', '-w', 'net.ipv4.ip_unprivileged_port_start=0']);
// Process numbers are those of this name space.
run('mount', ['-t', 'proc', 'proc', '/proc']);
const [own, other] = architecture === 'arm64' ? (['arm64', 'amd64'] as const) : (['amd64', 'arm64'] as const);
const MACHINES = { amd64: /X86-64/, arm64: /AArch64/ };
console.log('  unpacking');
const bundle = unpack(own, MACHINES[own]);
unpack(other, MACHINES[other]);

console.log('  running');
const state = path.join(work, 'state');
mkdirSync(state, { mode: 0o700 });
chownSync(state, USER_ID, USER_ID);
// The ports are those of this name space, which is empty.
configureBundle(bundle, state, ['TOWPATH_HOSTNAME=127.0.0.1', 'TOWPATH_ADMISSION_OPEN=true']);
const container = await Container.start({ folder: work, inside: (argv) => argv }, bundle, 'towpath');
try {
  // Packets through the relay, as two clients.
  const load = ['load', 'latency', 'https://127.0.0.1/derp', '--insecure', '--duration', '1', '--fail-if', 'loss>0'];
  container.run(TOWPATH, ...load);
  assert.equal(await container.stop(), 0);
} catch (error) {
  console.log(container.output);
  throw error;
} finally {
  container.remove();
}
const key = statSync(path.join(state, 'derper.key'));
assert.deepEqual([key.uid, key.mode & 0o777], [USER_ID, 0o600]);
process.exit(0);
