import { closeSync, fstatSync, openSync, readdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { CLOCK_TICK_MS, SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import type { Health } from '../observe/health.ts';
import { parseOpenFileLimit } from '../base/open-files.ts';
import { ProcFile } from '../base/proc-file.ts';

/**
 * Descriptors that stay free for other uses than client connections: administration, STUN, certificates, admission,
 * log. A sixteenth of the limit, within these bounds.
 */
const MIN_RESERVE = 16;
const MAX_RESERVE = 256;
const RESERVE_SHARE = 16;
/** Spare descriptors that are released when none are left: Bun would repeat a failed accept endlessly. */
const SPARES = 4;
/** The limit may be changed while the process runs (`prlimit`). */
const CHECK_MS = 1000;
/** Connections that are always allowed, even with a tiny limit. */
const MIN_CONNECTIONS = 4;
/** Part of the connections that must be closed before the relay counts as healthy again. */
const WELL_AGAIN_SHARE = 0.95;

/** Reads descriptors and their limit. Tests have their own. */
interface DescriptorTable {
  /** The present limit of this process; null when it is unknown. */
  limit(): number | null;
  /** Descriptors in use; null when that is unknown or expensive to find out. */
  inUse(): number | null;
  /** Takes a descriptor; throws when none is left. */
  take(): number;
  give(descriptor: number): void;
  close(): void;
}

/** The owner of connections with a limit. */
interface Bounded {
  /** Connections that are open. */
  readonly open: number;
  /** Sets the largest number of connections. */
  setConnectionLimit(connections: number, isForDescriptors: boolean): void;
}

export interface DescriptorsParts {
  readonly table: DescriptorTable;
  /** Connections that the configuration allows. */
  readonly connections: number;
  readonly bounded: Bounded;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Pick<Health, 'set'>;
}

/**
 * Keeps the number of client connections below the descriptor limit of the process, so that accepting never fails for
 * that reason. It also keeps the relay reachable when something else has used up the descriptors.
 */
export class Descriptors {
  readonly #parts: DescriptorsParts;
  readonly #spares: number[] = [];
  readonly #leaveClock: () => void;
  /** Known descriptors that are not connections. */
  #others = 0;
  #limit: number | null = null;
  #areUsedUp = false;
  #isFull = false;
  #checkedMs = -Infinity;

  /** Create it when all ports are open. */
  constructor(parts: DescriptorsParts) {
    this.#parts = parts;
    this.#takeSpares();
    this.#check();
    this.#leaveClock = parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
  }

  /** Stops the checks, and frees the spare descriptors. */
  close(): void {
    this.#leaveClock();
    for (const spare of this.#spares.splice(0)) this.#parts.table.give(spare);
    this.#parts.table.close();
  }

  #tick(now: number): void {
    const wasUsedUp = this.#areUsedUp;
    this.#areUsedUp = !this.#takeSpares();
    if (this.#areUsedUp) {
      this.#giveSpare();
      this.#parts.clock.tickBy(now);
    }
    if (this.#areUsedUp === wasUsedUp && now - this.#checkedMs < CHECK_MS - CLOCK_TICK_MS / 2) return;
    this.#checkedMs = now;
    this.#check();
  }

  /** Takes the spare descriptors. Returns whether one more was free. */
  #takeSpares(): boolean {
    const { table } = this.#parts;
    try {
      while (this.#spares.length < SPARES) this.#spares.push(table.take());
      table.give(table.take());
      return true;
    } catch {
      return false;
    }
  }

  #giveSpare(): void {
    const spare = this.#spares.pop();
    if (spare !== undefined) this.#parts.table.give(spare);
  }

  #check(): void {
    const { table, connections, bounded, health } = this.#parts;
    const limit = table.limit();
    const inUse = table.inUse();
    if (inUse !== null) this.#others = Math.max(inUse - bounded.open, 0);
    const fit = limit === null ? Infinity : Math.max(limit - this.#others - reserve(limit), MIN_CONNECTIONS);
    // When no descriptor is left, no more connections are allowed, even if the numbers differ.
    const bound = this.#areUsedUp ? Math.min(fit, Math.max(bounded.open - SPARES, MIN_CONNECTIONS)) : fit;
    bounded.setConnectionLimit(Math.min(connections, bound), bound < connections);
    if (limit !== this.#limit) this.#tell(limit, fit);
    this.#limit = limit;
    this.#isFull = bound < connections && bounded.open >= (this.#isFull ? bound * WELL_AGAIN_SHARE : bound);
    health.set('descriptors', this.#problem());
  }

  #tell(limit: number | null, fit: number): void {
    const { connections, log } = this.#parts;
    if (limit !== null && fit < connections) {
      log.warn(
        { openFiles: limit, connections: fit, 'limits.connections': connections },
        'the limit of open files is lower than limits.connections needs: it limits the connections; raise it (LimitNOFILE in systemd, --ulimit nofile with Docker, ulimit -n)',
      );
    } else if (this.#limit !== null) {
      log.info({ openFiles: limit, connections }, 'the limit of open files is now high enough');
    }
  }

  #problem(): string | null {
    const advice = 'raise the limit of open files';
    if (this.#areUsedUp) return `no file descriptors are left: ${advice}`;
    return this.#isFull ? `as many connections are open as the limit of open files allows: ${advice}` : null;
  }
}

function reserve(limit: number): number {
  return SPARES + Math.min(Math.max(Math.floor(limit / RESERVE_SHARE), MIN_RESERVE), MAX_RESERVE);
}

/** The descriptors of this process, from /proc if it exists. */
export class ProcessDescriptors implements DescriptorTable {
  readonly #limits = new ProcFile('/proc/self/limits');
  #folder: number | null;

  constructor() {
    try {
      this.#folder = openSync('/proc/self/fd', 'r');
    } catch {
      this.#folder = null;
    }
  }

  limit(): number | null {
    const text = this.#limits.read();
    return text === null ? null : parseOpenFileLimit(text);
  }

  inUse(): number | null {
    if (this.#folder === null) return null;
    try {
      // Since Linux 6.2 the size of the folder is the number of descriptors; reading it takes long when there are many.
      const { size } = fstatSync(this.#folder);
      return size > 0 ? size : this.#countOnce();
    } catch {
      return null;
    }
  }

  take(): number {
    return openSync('/dev/null', 'r');
  }

  give(descriptor: number): void {
    closeSync(descriptor);
  }

  close(): void {
    this.#limits.close();
    if (this.#folder !== null) closeSync(this.#folder);
    this.#folder = null;
  }

  #isCounted = false;
  #countOnce(): number | null {
    if (this.#isCounted) return null;
    this.#isCounted = true;
    return readdirSync('/proc/self/fd').length;
  }
}
