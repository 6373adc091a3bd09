import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Network } from '../../interop/peer-relay/network.ts';
import { Program, until } from '../../interop/peer-relay/program.ts';
import { run, runAnyway } from '../command.ts';
import { makeCgroup, removeCgroups } from './cgroup.ts';

const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C.UTF-8'];

/** A Debian root directory with a running systemd, in the network name space of the hub. */
export class SystemdRoot {
  readonly #unshare: Program;
  readonly #cgroup: string;
  readonly #pid: number;

  private constructor(unshare: Program, cgroup: string, pid: number) {
    this.#unshare = unshare;
    this.#cgroup = cgroup;
    this.#pid = pid;
  }

  /** Boots it; resolves when systemd has finished the boot. */
  static async boot(network: Network, root: string): Promise<SystemdRoot> {
    const cgroup = makeCgroup('systemd');
    const spaces = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
    const boot = ['unshare', ...spaces, path.join(import.meta.dirname, 'boot.sh'), root];
    // A cgroup name space begins where its first process is, and the one of the network has another /sys.
    const script = `echo $$ > ${cgroup}/cgroup.procs && exec "$@"`;
    const unshare = new Program(['sh', '-c', script, 'sh', ...network.inside('hub', boot)]);
    let system: SystemdRoot | null = null;
    await until(
      () => `systemd has started:\n${unshare.output}`,
      () => {
        if (!unshare.isRunning) return true;
        const pid = Number(readFileSync(`/proc/${unshare.pid}/task/${unshare.pid}/children`, 'utf8').trim());
        system = new SystemdRoot(unshare, cgroup, pid);
        return /running|degraded/.test(runAnyway('nsenter', system.#enter('systemctl', 'is-system-running')));
      },
    );
    if (!unshare.isRunning) {
      await removeCgroups(cgroup);
      throw new Error(`systemd did not start:\n${unshare.output}`);
    }
    return system!;
  }

  /** Runs a command in it, and returns its output. */
  run(...command: string[]): string {
    return run('nsenter', this.#enter(...command));
  }

  runAnyway(...command: string[]): string {
    return runAnyway('nsenter', this.#enter(...command));
  }

  async stop(): Promise<void> {
    // The kernel ends systemd together with unshare, and all other processes together with systemd.
    await this.#unshare.stop('SIGKILL');
    await removeCgroups(this.#cgroup);
  }

  #enter(...command: string[]): string[] {
    return [`--target=${this.#pid}`, '--all', '--root', '--wd', 'env', '-i', ...ENVIRONMENT, ...command];
  }
}
