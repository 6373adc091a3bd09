import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import { formatHostPort } from '../base/ip-address.ts';
import type { RefusalReason } from '../observe/counters.ts';
import { EventSummary } from '../observe/event-summary.ts';
import type { SessionReporter } from '../relay/session/context.ts';
import type { Endpoint } from '../transport/port.ts';
import { shortKey } from '../wire/keys.ts';

/** Reasons for the end of open connections. All others are refusals. */
const ENDED: ReadonlySet<RefusalReason> = new Set([
  'write_timeout',
  'control_queue_full',
  'key_connections',
  'close_peer',
  'bad_frame_length',
  'frame_too_large',
  'no_mesh_rights',
  'mesh_source',
]);
/** Start of the source's name when admission itself failed, which has no log line of its own. */
const ADMISSION_FAILED = 'error: ';

/**
 * Logs events of connections: one line per refusal reason and interval, with an example; a line for each connection
 * only at level debug.
 */
export class ConnectionLog implements SessionReporter {
  readonly #log: Logger;
  readonly #refused: EventSummary;
  readonly #ended: EventSummary;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#refused = new EventSummary({ log, clock, verb: 'refused', noun: 'connection' });
    this.#ended = new EventSummary({ log, clock, verb: 'closed', noun: 'connection' });
  }

  refused(reason: RefusalReason, remote: Endpoint, key: Buffer | null, detail: string): void {
    // The admission has logged it, with the source and the reason.
    if (reason === 'not_admitted' && !detail.startsWith(ADMISSION_FAILED)) return;
    const who = key === null ? '' : ` ${shortKey(key)}`;
    const summary = ENDED.has(reason) ? this.#ended : this.#refused;
    summary.add(reason, `${remote.ip}${who}${detail === '' ? '' : `: ${detail}`}`);
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

  /** Writes the waiting lines, and unsubscribes from the clock. */
  close(): void {
    this.#refused.close();
    this.#ended.close();
  }
}
