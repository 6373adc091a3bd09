import { spawn, type ChildProcess } from 'node:child_process';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { describeSockets, FIRST_FD, type Environment, type InheritedSockets } from './inherited-sockets.ts';
import { ACCEPTS } from './previous-process.ts';

/** Longest time until the next process accepts clients: it may have to fetch long lists of an admission source. */
const START_MS = 60_000;

/** What {@link NextProcess} needs. */
export interface NextProcessParts {
  /** The program and its arguments, as this process was started. */
  readonly command: readonly string[];
  /** The environment that this process was started with. */
  readonly env: Environment;
  readonly sockets: InheritedSockets;
  readonly startMs?: number;
}

/**
 * The process that takes over the sockets of this one, which came from a service manager. It is a child process, and
 * reads program and configuration again: after an upgrade it is the new version. It reports on a separate pipe when it
 * accepts clients. Until then both processes accept clients, and when it fails nothing has changed for the clients.
 */
export class NextProcess {
  /** Resolves when it accepts clients. Rejects when it ends before, cannot be started or takes too long; it has ended then. */
  readonly accepts: Promise<void>;
  readonly #child: ChildProcess;
  readonly #timer: NodeJS.Timeout;

  /** Starts it. */
  constructor({ command, env, sockets, startMs = START_MS }: NextProcessParts) {
    const [program, ...args] = command as [string, ...string[]];
    const { fds, variables } = describeSockets(sockets);
    // These variables have the process id of this process.
    const own = { LISTEN_PID: undefined, WATCHDOG_PID: undefined };
    this.#child = spawn(program, args, {
      stdio: ['inherit', 'inherit', 'inherit', ...fds, 'pipe'],
      env: { ...env, ...own, ...variables, LISTEN_PREVIOUS_PID: String(process.pid) },
    });
    const { promise, resolve, reject } = Promise.withResolvers<true>();
    this.accepts = promise.then(() => undefined).finally(() => clearTimeout(this.#timer));
    this.#timer = setTimeout(() => {
      this.cancel();
      reject(failure(`it does not accept clients after ${startMs / 1000} s`));
    }, startMs);
    let said = '';
    this.#child.stdio[FIRST_FD + fds.length]
      ?.on('data', (bytes: Buffer) => {
        said = (said + bytes.toString('latin1')).slice(0, ACCEPTS.length);
        if (said === ACCEPTS) resolve(true);
      })
      // The end of the process shows the problem better.
      .on('error', () => undefined);
    this.#child.once('error', (error) => reject(failure(errorMessage(error))));
    this.#child.once('exit', (code, signal) =>
      reject(failure(`it ended with ${signal ?? `exit code ${code ?? 'none'}`}`)),
    );
  }

  /** Ends it when it must not take over any more. */
  cancel(): void {
    this.#child.kill('SIGKILL');
  }
}

function failure(problem: string): TowpathError {
  return new TowpathError('TOWPATH_NEXT_PROCESS', `The next process did not start: ${problem}.`, {
    hint: 'Its log says why. Fix it and send SIGUSR2 again, or restart the service.',
  });
}
