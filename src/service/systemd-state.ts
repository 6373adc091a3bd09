import type { Logger } from 'pino';
import { onOneLine } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import type { Health } from '../observe/health.ts';
import { openNotify, type Notify } from '../system/notify.ts';

type Environment = Record<string, string | undefined>;

/** Shortest watchdog time that is used: a shorter one would only cost work. */
const LEAST_WATCHDOG_MS = 100;
/** The service manager shows the state on one line. */
const STATUS_CHARACTERS = 200;

/** What {@link SystemdState} needs. */
export interface SystemdStateParts {
  readonly notify: Notify;
  /** Null: the service manager does not watch. */
  readonly watchdogMs: number | null;
  readonly health: Health;
  readonly log: Logger;
}

/**
 * Tells systemd the state of the relay (sd_notify(3)): `READY` after the first self-test, `RELOADING` and `READY` around a
 * reload, `STOPPING` when the drain begins, `WATCHDOG` twice in the time after which systemd restarts the relay, and a
 * `STATUS` that `systemctl status` shows. The messages go out in order; no call throws or waits.
 */
export class SystemdState {
  readonly #parts: SystemdStateParts;
  readonly #watchdog: NodeJS.Timeout | undefined;
  readonly #leaveHealth: () => void;
  #last: Promise<void> = Promise.resolve();
  #state: 'starting' | 'ready' | 'stopping' = 'starting';
  #isSilent = false;

  constructor(parts: SystemdStateParts) {
    this.#parts = parts;
    const { watchdogMs, health } = parts;
    if (watchdogMs !== null) {
      this.#watchdog = setInterval(() => this.#send('WATCHDOG=1'), Math.max(watchdogMs, LEAST_WATCHDOG_MS) / 2).unref();
    }
    this.#leaveHealth = health.onChange(() => this.#healthChanged());
  }

  /** Tells systemd that the relay serves clients, or does again after a reload. */
  ready(): void {
    if (this.#state === 'stopping') return;
    this.#state = 'ready';
    this.#send(`READY=1\n${this.#status()}`);
  }

  /** Tells systemd that the configuration is read again. {@link ready} follows. */
  reloading(): void {
    if (this.#state === 'ready') this.#send('RELOADING=1\nSTATUS=Reading the configuration again');
  }

  /** Makes this process the main one of the service. Resolves when the service manager has the message. */
  async becomeMain(): Promise<void> {
    this.#send(`MAINPID=${process.pid}`);
    await this.#last;
  }

  /** Stops all messages, because another process is the main one from now on. */
  handedOver(): void {
    this.#state = 'stopping';
  }

  /** Tells systemd that the relay drains and ends within `limitMs`, for which the service manager waits. */
  stopping(limitMs: number): void {
    if (this.#state === 'stopping') return;
    this.#state = 'stopping';
    this.#send(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${Math.ceil(limitMs) * 1000}\nSTATUS=Draining: clients reconnect`);
  }

  /** Resolves when everything has been sent. */
  async close(): Promise<void> {
    clearInterval(this.#watchdog);
    this.#leaveHealth();
    await this.#last;
    this.#parts.notify.close();
  }

  #healthChanged(): void {
    if (this.#state === 'ready') this.#send(this.#status());
  }

  #status(): string {
    const problems = this.#parts.health.problems().map(({ name, problem }) => `${name}: ${problem}`);
    const text = problems.length === 0 ? 'Ready' : `Not ready: ${problems.join('; ')}`;
    return `STATUS=${printable(onOneLine(text)).slice(0, STATUS_CHARACTERS)}`;
  }

  #send(text: string): void {
    this.#last = this.#last.then(async () => {
      if (await this.#parts.notify.send(text)) this.#isSilent = false;
      else if (!this.#isSilent) {
        this.#isSilent = true;
        this.#parts.log.warn({ message: text.split('\n', 1)[0] }, 'the service manager did not take a message');
      }
    });
  }
}

/**
 * Connects to the service manager that waits for messages of this process; null when there is none (`NOTIFY_SOCKET`,
 * `WATCHDOG_USEC`, `WATCHDOG_PID`). Removes the variables from `env`, so that no child process sends messages for the
 * relay.
 */
export async function openSystemdState(
  env: Environment,
  parts: Pick<SystemdStateParts, 'health' | 'log'>,
): Promise<SystemdState | null> {
  const { NOTIFY_SOCKET: path = '', WATCHDOG_USEC: usec = '', WATCHDOG_PID: pid = '' } = env;
  delete env['NOTIFY_SOCKET'];
  delete env['WATCHDOG_USEC'];
  delete env['WATCHDOG_PID'];
  if (path === '') return null;
  if (!/^[/@]/.test(path)) {
    parts.log.warn({ path }, 'NOTIFY_SOCKET is not the path of a socket; the service manager gets no messages');
    return null;
  }
  const isWatched = /^[1-9]\d{0,15}$/.test(usec) && (pid === '' || pid === String(process.pid));
  return new SystemdState({
    ...parts,
    notify: await openNotify(path),
    watchdogMs: isWatched ? Number(usec) / 1000 : null,
  });
}
