import type { Config } from '../config/schema.ts';
import { errorMessage } from '../base/errors.ts';
import type { Log } from '../observe/log.ts';
import type { SignalWish } from '../base/signals.ts';
import type { NextProcess } from './next-process.ts';
import { ENDING } from './readiness.ts';
import type { SystemdState } from './systemd-state.ts';
import type { Service } from './service.ts';
import type { ProcessControl, ReloadOutcome } from './status/actions.ts';

/** Exit code after a second signal: as a shell reports a process that SIGINT ended. */
const EXIT_INTERRUPTED = 130;
const CANNOT_REPLACE = 'no next process is started, as that needs sockets from systemd: restart the relay instead';
/** Time limit after the drain. Its steps take at most one second each. */
const CLOSE_MS = 10_000;

/** Options of {@link Lifetime}. */
export interface LifetimeParts {
  readonly service: Service;
  readonly log: Log;
  /** Null when no service manager waits for messages. */
  readonly systemd: SystemdState | null;
  /** Reads the configuration again; throws a TowpathError when it cannot be used. */
  readonly reload: () => Config;
  /** Starts the process that takes over from this one; null: its sockets cannot be passed on. */
  readonly startNext: (() => Pick<NextProcess, 'accepts' | 'cancel'>) | null;
  /** Ends the process with this code at once. */
  readonly endNow: (code: number) => never;
}

/** Handles signals and actions of the admin API, from before the relay's start to its end. */
export class Lifetime implements ProcessControl {
  /** Resolves with the exit code when the relay has ended. */
  readonly ended: Promise<number>;
  readonly #parts: LifetimeParts;
  readonly #end: (code: number) => void;
  #state: 'starting' | 'serving' | 'ending' = 'starting';
  #wantsReload = false;
  #next: Pick<NextProcess, 'accepts' | 'cancel'> | null = null;

  constructor(parts: LifetimeParts) {
    this.#parts = parts;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** True when the process is ending. */
  get isEnding(): boolean {
    return this.#state === 'ending';
  }

  /** Handles a signal. */
  signal(wish: SignalWish, signal: NodeJS.Signals): void {
    const { log } = this.#parts.log;
    if (wish === 'nothing') log.info({ signal }, 'this signal does nothing');
    else if (wish === 'end') this.#endBy(signal);
    else if (wish === 'replace') this.replace();
    else if (this.#state === 'serving') this.reload();
    else if (this.#state === 'starting') this.#wantsReload = true;
    else log.info({ signal }, 'the configuration is not reloaded: the relay is stopping');
  }

  /** Called when the relay accepts clients. A reload that was requested meanwhile runs now. */
  started(): void {
    if (this.#state !== 'starting') return;
    this.#state = 'serving';
    if (this.#wantsReload) this.reload();
  }

  /** Reads configuration, certificate and key lists again, while the relay serves, and logs the result. */
  reload(): ReloadOutcome {
    const { service, log, systemd, reload } = this.#parts;
    if (this.#state !== 'serving') return { error: `the relay is ${this.#state}`, restartKeys: [] };
    systemd?.reloading();
    try {
      // The certificate comes first, even if the configuration is invalid: a renewed certificate must not wait for a
      // fix of the configuration.
      service.reloadFiles();
      const config = reload();
      const { changed, restart } = service.reload(config);
      log.log.level = config.log.level;
      service.reloads.succeeded(Date.now());
      if (restart.length > 0) log.log.warn({ keys: restart }, 'changes of these keys need a restart');
      log.log.info({ changed }, 'configuration reloaded');
      return { error: null, restartKeys: restart };
    } catch (error) {
      service.reloads.failed();
      log.log.error({ error: errorMessage(error) }, 'the new configuration has an error; the old one stays in use');
      return { error: errorMessage(error), restartKeys: [] };
    } finally {
      systemd?.ready();
    }
  }

  /**
   * Starts the next process with the sockets of this one. This one drains and ends when the next one accepts clients.
   * When the next one fails, this one continues and logs the reason.
   */
  replace(): void {
    const { log } = this.#parts.log;
    const { startNext } = this.#parts;
    if (this.#state !== 'serving') log.info(`the next process is not started: the relay is ${this.#state}`);
    else if (this.#next !== null) log.info('the next process is starting already');
    else if (startNext === null) log.warn(CANNOT_REPLACE);
    else {
      log.info('starting the next process');
      void this.#waitForNext(startNext());
    }
  }

  async #waitForNext(next: Pick<NextProcess, 'accepts' | 'cancel'>): Promise<void> {
    this.#next = next;
    try {
      await next.accepts;
    } catch (error) {
      this.#next = null;
      // When this process ends, it has cancelled the next one itself.
      if (this.#state !== 'ending') this.#parts.log.log.error({ error: errorMessage(error) }, 'this process continues');
      return;
    }
    this.#next = null;
    if (this.#state === 'ending') return;
    this.#parts.systemd?.handedOver();
    this.#beginEnd({ why: 'the next process accepts clients' }, true);
  }

  /** Drains and ends the process, as a signal does; `why` is for the log. A second time it does nothing. */
  drain(why: string): void {
    if (this.#state !== 'ending') this.#beginEnd({ why });
  }

  #endBy(signal: NodeJS.Signals): void {
    const { log, endNow } = this.#parts;
    if (this.#state === 'ending') {
      log.close();
      endNow(EXIT_INTERRUPTED);
    }
    this.#beginEnd({ signal });
  }

  #beginEnd(cause: { readonly signal: NodeJS.Signals } | { readonly why: string }, isReplaced = false): void {
    const { service, log, systemd } = this.#parts;
    const wasServing = this.#state === 'serving';
    this.#state = 'ending';
    this.#next?.cancel();
    systemd?.stopping(service.drainMs + CLOSE_MS);
    service.health.set(ENDING, 'the relay is stopping');
    log.log.info(
      { ...cause, sessions: service.sessionCount },
      wasServing ? 'draining; a second signal stops the relay at once' : 'stopping before the start is done',
    );
    void this.#shutDown(isReplaced);
  }

  async #shutDown(isReplaced: boolean): Promise<void> {
    const { service, log } = this.#parts;
    let code = 0;
    try {
      await service.drain(isReplaced);
      await service.close();
      log.log.info('stopped');
    } catch (error) {
      log.log.error({ error: errorMessage(error) }, 'an error during the shutdown');
      code = 1;
    }
    this.#end(code);
  }
}
