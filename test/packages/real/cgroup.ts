import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { until } from '../../interop/peer-relay/program.ts';
import { run } from '../command.ts';

const CONSEQUENCE = 'Without it, only the image can be tested: npm run test:transcript -- image';

/** Returns why systemd cannot have its control groups on this machine, as text; null if it can. */
export async function missingForSystemd(): Promise<string | null> {
  let cgroup: string;
  try {
    cgroup = makeCgroup('check');
  } catch (error) {
    return `${(error as Error).message}. The systemd that runs the Debian package needs one. ${CONSEQUENCE}`;
  }
  const moved = spawnSync('sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs`], { encoding: 'utf8' });
  await removeCgroups(cgroup);
  if (moved.status === 0) return null;
  return `no process may enter a control group that is made in ${path.dirname(cgroup)}, as systemd needs: ${moved.stderr}${CONSEQUENCE}`;
}

/** Makes a control group, in version 2; returns its folder. Throws an Error with the reason if this fails. */
export function makeCgroup(name: string): string {
  const mounted = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];
  if (mounted === undefined) {
    throw new Error('no control group can be made, because cgroup2 is not mounted (mount -t cgroup2 none FOLDER)');
  }
  const cgroup = path.join(mounted, `towpath-${name}-${process.pid}`);
  try {
    mkdirSync(cgroup);
  } catch (error) {
    throw new Error(`no control group can be made: ${(error as Error).message}`, { cause: error });
  }
  return cgroup;
}

/** Removes a control group and those in it, after its last process. */
export async function removeCgroups(cgroup: string): Promise<void> {
  // The kernel may need some milliseconds to remove the last processes.
  await until(`${cgroup} has no processes`, () => {
    const folders = run('find', [cgroup, '-depth', '-type', 'd']).trim().split('\n');
    for (const folder of folders) rmdirSync(folder);
    return true;
  });
}
