import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { until } from '../../interop/peer-relay/program.ts';
import type { Network } from '../../interop/peer-relay/network.ts';
import { run, runAnyway } from '../command.ts';

const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C.UTF-8'];

/** A Debian root directory whose systemd runs, in the network name space of the hub. */
export class SystemdRoot {
  readonly #child: ChildProcess;
  readonly #cgroup: string;
  readonly #pid: number;

  private constructor(child: ChildProcess, cgroup: string, pid: number) {
    this.#child = child;
    this.#cgroup = cgroup;
    this.#pid = pid;
  }

  /** Boots it; resolves when systemd has started what belongs to a boot. */
  static async boot(network: Network, root: string): Promise<SystemdRoot> {
    const cgroup = path.join(cgroup2Mount(), `towpath-${process.pid}`);
    mkdirSync(cgroup);
    const spaces = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
    const boot = ['unshare', ...spaces, path.join(import.meta.dirname, 'boot.sh'), root];
    // A cgroup name space begins where its first process is.
    const script = `echo $$ > ${cgroup}/cgroup.procs; exec "$@"`;
    const [program, ...args] = network.inside('hub', ['sh', '-c', script, 'sh', ...boot]) as [string, ...string[]];
    const child = spawn(program, args, { stdio: 'ignore' });
    let system: SystemdRoot | null = null;
    await until('systemd has started', () => {
      const pid = Number(readFileSync(`/proc/${child.pid!}/task/${child.pid!}/children`, 'utf8').trim());
      system = new SystemdRoot(child, cgroup, pid);
      return /running|degraded/.test(runAnyway('nsenter', system.#enter('systemctl', 'is-system-running')));
    });
    return system!;
  }

  /** Runs a command in it, and returns what it prints. */
  run(...command: string[]): string {
    return run('nsenter', this.#enter(...command));
  }

  runAnyway(...command: string[]): string {
    return runAnyway('nsenter', this.#enter(...command));
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    process.kill(this.#pid, 'SIGKILL');
    await ended;
    removeCgroups(this.#cgroup);
  }

  #enter(...command: string[]): string[] {
    return [`--target=${this.#pid}`, '--all', '--root', '--wd', 'env', '-i', ...ENVIRONMENT, ...command];
  }
}

function cgroup2Mount(): string {
  const found = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'));
  if (found === null) throw new Error('cgroup2 is not mounted; systemd needs it');
  return found[1]!;
}

function removeCgroups(cgroup: string): void {
  const folders = run('find', [cgroup, '-depth', '-type', 'd']).trim().split('\n');
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      // The kernel takes a moment to let the last processes go.
    }
  }
}
