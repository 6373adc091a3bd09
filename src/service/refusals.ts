import type { Logger } from 'pino';
import type { DoorGuard } from '../relay/door/door-guard.ts';
import type { Counters, RefusalReason } from '../observe/counters.ts';
import type { EventSummary } from '../observe/event-summary.ts';
import type { SessionReporter } from '../relay/session/context.ts';
import type { Endpoint } from '../transport/port.ts';
import { formatHostPort } from '../base/ip-address.ts';
import { shortKey } from '../wire/keys.ts';

/**
 * Counts every refusal by its reason and keeps the log readable: one line per reason and interval with an example,
 * and a line for each connection only at level debug.
 */
export class Refusals implements SessionReporter {
  readonly #counters: Counters;
  readonly #log: Logger;
  readonly #summary: EventSummary;
  readonly #guard: DoorGuard;

  constructor(counters: Counters, log: Logger, summary: EventSummary, guard: DoorGuard) {
    this.#counters = counters;
    this.#log = log;
    this.#summary = summary;
    this.#guard = guard;
  }

  refused(reason: RefusalReason, remote: Endpoint, key: Buffer | null, detail: string): void {
    this.#counters.refusals[reason]++;
    this.#guard.misbehaved(remote.ip, reason);
    const who = key === null ? '' : ` ${shortKey(key)}`;
    this.#summary.add(reason, `${remote.ip}${who}${detail === '' ? '' : `: ${detail}`}`);
  }

  opened(remote: Endpoint, key: Buffer, app: string): void {
    if (!this.#log.isLevelEnabled('debug')) return;
    const from = formatHostPort(remote.ip, remote.port);
    this.#log.debug({ from, key: shortKey(key), ...(app === '' ? {} : { app }) }, 'connected');
  }

  closed(remote: Endpoint, key: Buffer, reason: string): void {
    if (this.#log.isLevelEnabled('debug')) {
      this.#log.debug({ from: formatHostPort(remote.ip, remote.port), key: shortKey(key), reason }, 'disconnected');
    }
  }
}
