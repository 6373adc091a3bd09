import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { until } from '../../interop/peer-relay/program.ts';
import { run } from '../command.ts';

const WITHOUT = 'Without it, only the image can be shown: npm run test:transcript -- image';

/** Throws an error that says what is missing when this machine does not let a systemd have its control groups. */
export async function checkCgroups(): Promise<void> {
  const cgroup = makeCgroup('check');
  const moved = spawnSync('sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs`], { encoding: 'utf8' });
  await removeCgroups(cgroup);
  if (moved.status === 0) return;
  throw new Error(
    `no process may be moved to a control group in ${cgroup}, which systemd needs: ${moved.stderr}${WITHOUT}`,
  );
}

/** Makes a control group, in version 2; returns its folder. */
export function makeCgroup(name: string): string {
  const mounted = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];
  if (mounted === undefined) {
    throw new Error(
      `cgroup2 is not mounted, and the systemd that runs the Debian package needs it (mount -t cgroup2 none FOLDER). ${WITHOUT}`,
    );
  }
  const cgroup = path.join(mounted, `towpath-${name}-${process.pid}`);
  try {
    mkdirSync(cgroup);
  } catch (error) {
    throw new Error(
      `no control group can be made in ${mounted}, and the systemd that runs the Debian package needs one. ${WITHOUT}`,
      { cause: error },
    );
  }
  return cgroup;
}

/** Removes a control group and those in it, after its last process. */
export async function removeCgroups(cgroup: string): Promise<void> {
  // The kernel takes a moment to let the last processes go.
  await until(`${cgroup} has no processes`, () => {
    const folders = run('find', [cgroup, '-depth', '-type', 'd']).trim().split('\n');
    for (const folder of folders) rmdirSync(folder);
    return true;
  });
}
