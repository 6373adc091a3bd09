import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { until } from '../interop/peer-relay/program.ts';
import { run, runAnyway } from './command.ts';

/** The user of the image. */
export const USER_ID = 65_532;
/** The program in the image. */
export const TOWPATH = '/usr/bin/towpath';

/**
 * crun refuses machines that have both versions of control groups; the mount name space of one command has only one. If
 * the machine does not allow the mount, crun prints the error itself.
 */
const ONE_CGROUP_VERSION = `
umount --recursive --lazy /sys/fs/cgroup 2> /dev/null
mount -t cgroup2 none /sys/fs/cgroup 2> /dev/null
exec "$@"`;

/** Copies the image of one architecture from an OCI archive to `layout`, a folder, under the tag `image`. */
export function copyImage(archive: string, architecture: string, layout: string): void {
  const source = ['--override-arch', architecture, 'copy', '--quiet', `oci-archive:${archive}`];
  run('skopeo', [...source, `oci:${layout}:image`]);
}

/** Unpacks an image to `bundle`, a new folder with `rootfs` and `config.json` for crun. */
export function unpackImage(layout: string, tag: string, bundle: string): void {
  run('umoci', ['unpack', '--image', `${layout}:${tag}`, bundle]);
}

interface Bundle {
  process: { user: { uid: number }; args: string[]; env: string[]; terminal?: boolean; noNewPrivileges?: boolean };
  root: { readonly?: boolean };
  mounts: { destination: string; type?: string; source?: string; options?: string[] }[];
  linux: { namespaces: { type: string }[]; resources?: object };
}

/**
 * Changes `config.json` as `docker run --read-only --cap-drop ALL --network host --volume STATE:/var/lib/towpath` would, with
 * the variables `env` (`NAME=value`).
 */
export function configureBundle(bundle: string, state: string, env: readonly string[]): void {
  const file = path.join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Bundle;
  assert.equal(config.process.user.uid, USER_ID);
  assert.deepEqual(config.process.args, [TOWPATH, 'serve']);
  config.process = { ...config.process, terminal: false, noNewPrivileges: true, env: ['PATH=/usr/bin', ...env] };
  Object.assign(config.process, { capabilities: {} });
  config.root.readonly = true;
  config.mounts.push({ destination: '/var/lib/towpath', type: 'bind', source: state, options: ['rbind', 'rw'] });
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network' && type !== 'cgroup');
  // Some build machines do not allow a process to make control groups.
  config.mounts = config.mounts.filter(({ type }) => type !== 'cgroup');
  delete config.linux.resources;
  writeFileSync(file, JSON.stringify(config));
}

/** The place of the containers. */
export interface ContainerPlace {
  /** Folder for the state of crun. */
  readonly folder: string;
  /** Returns the command line that runs another one in the network of the container. */
  readonly inside: (argv: readonly string[]) => readonly string[];
}

/** A container of the relay, run by crun. */
export class Container {
  readonly #place: ContainerPlace;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<[number | null]>;
  #output = '';

  private constructor(place: ContainerPlace, bundle: string, name: string) {
    this.#place = place;
    this.#name = name;
    const [program, ...args] = crun(place, 'run', '--bundle', bundle, name) as [string, ...string[]];
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'close') as Promise<[number | null]>;
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
  }

  /** Starts a container from a bundle; resolves when its health check passes. */
  static async start(place: ContainerPlace, bundle: string, name: string): Promise<Container> {
    const container = new Container(place, bundle, name);
    try {
      let health = '';
      await until(
        () => `the container is ready: ${health}`,
        () => {
          if (container.#child.exitCode !== null) return true;
          health = container.runAnyway(TOWPATH, 'healthcheck');
          return health.startsWith('ready');
        },
      );
      if (container.#child.exitCode !== null) throw new Error(`crun ended with ${container.#child.exitCode}`);
    } catch (error) {
      container.remove();
      throw new Error(`the container did not start:\n${container.output}`, { cause: error });
    }
    return container;
  }

  /** The output of the relay so far. */
  get output(): string {
    return this.#output;
  }

  /** The process number of the relay, outside of the container. */
  get pid(): number {
    return (JSON.parse(this.crun('state', this.#name)) as { pid: number }).pid;
  }

  /** Runs a command of crun, and returns its output. */
  crun(...argv: string[]): string {
    const [program, ...args] = crun(this.#place, ...argv) as [string, ...string[]];
    return run(program, args);
  }

  /** Runs a command in the container, and returns its output. */
  run(...argv: string[]): string {
    return this.crun('exec', this.#name, ...argv);
  }

  /** The same, whatever the exit code is. */
  runAnyway(...argv: string[]): string {
    const [program, ...args] = crun(this.#place, 'exec', this.#name, ...argv) as [string, ...string[]];
    return runAnyway(program, args);
  }

  /** Stops the relay as a container engine does; resolves with its exit code. */
  async stop(): Promise<number | null> {
    this.crun('kill', this.#name, 'TERM');
    const [code] = await this.#ended;
    return code;
  }

  /** Removes the container, also while it runs. Its volume stays. */
  remove(): void {
    this.#child.kill('SIGKILL');
    const [program, ...args] = crun(this.#place, 'delete', '--force', this.#name) as [string, ...string[]];
    runAnyway(program, args);
  }
}

function crun(place: ContainerPlace, ...argv: string[]): string[] {
  const program = ['crun', '--cgroup-manager=disabled', '--root', path.join(place.folder, 'crun'), ...argv];
  return [...place.inside(['unshare', '--mount', 'sh', '-c', ONE_CGROUP_VERSION, 'sh', ...program])];
}
