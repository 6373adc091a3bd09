import type { Logger } from 'pino';
import type { Clock } from '../../base/clock.ts';
import { EventSummary } from '../../observe/event-summary.ts';
import type { LinkEvent } from '../../relay/mesh/snapshot.ts';

/** Logs the events of the mesh links: the first line at once, then one line per kind of event and interval. */
export class LinkLog {
  readonly #opened: EventSummary;
  readonly #lost: EventSummary;
  readonly #unused: EventSummary;

  constructor(log: Logger, clock: Clock) {
    const noun = 'mesh link';
    this.#opened = new EventSummary({ log, clock, verb: 'opened', noun });
    this.#unused = new EventSummary({ log, clock, verb: 'does not use', noun });
    this.#lost = new EventSummary({ log, clock, verb: 'lost', noun, level: 'warn' });
  }

  happened({ kind, name, address, detail }: LinkEvent): void {
    const where = address === '' || address === name ? name : `${name} at ${address}`;
    if (kind === 'opened') this.#opened.add(name, where);
    else if (kind === 'self' || kind === 'duplicate' || kind === 'unused')
      this.#unused.add(kind, `${where}: ${detail}`);
    else this.#lost.add(kind, `${where}: ${detail}`);
  }

  close(): void {
    for (const summary of [this.#opened, this.#unused, this.#lost]) summary.close();
  }
}
