import type { Logger } from 'pino';
import { formatHostPort } from '../base/ip-address.ts';
import type { RefusalReason } from '../observe/counters.ts';
import type { EventSummary } from '../observe/event-summary.ts';
import type { SessionReporter } from '../relay/session/context.ts';
import type { Endpoint } from '../transport/port.ts';
import { shortKey } from '../wire/keys.ts';

/**
 * Logs what happens to connections and keeps the log readable: one line per reason of refusal and interval with an
 * example, and a line for each connection only at level debug.
 */
export class ConnectionLog implements SessionReporter {
  readonly #log: Logger;
  readonly #summary: EventSummary;

  constructor(log: Logger, summary: EventSummary) {
    this.#log = log;
    this.#summary = summary;
  }

  refused(reason: RefusalReason, remote: Endpoint, key: Buffer | null, detail: string): void {
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
