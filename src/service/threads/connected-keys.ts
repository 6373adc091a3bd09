import type { RelayEvents } from '../../relay/relay.ts';
import type { ConnectionNote } from './relay-threads.ts';

/** A connection of a thread that has ended has no address any more. */
const NOWHERE = { ip: '', port: 0 };

/** Passes on what happens to connections of relay threads, and the end of all that a thread had when it ends itself. */
export class ConnectedKeys {
  readonly #events: RelayEvents;
  /** Connections by key in hex, by the index of the thread. */
  readonly #open = new Map<number, Map<string, number>>();

  constructor(events: RelayEvents) {
    this.#events = events;
  }

  noted(index: number, note: ConnectionNote): void {
    if (note.kind === 'listenerError') {
      this.#events.listenerError(new Error(note.message));
      return;
    }
    for (const event of note.events) {
      if (event.kind === 'refused') {
        const key = event.key === null ? null : Buffer.from(event.key);
        this.#events.refused(event.reason, event.remote, key, event.detail);
        continue;
      }
      const key = Buffer.from(event.key);
      this.#count(index, key, event.kind === 'opened' ? 1 : -1);
      if (event.kind === 'opened') this.#events.opened(event.remote, key, event.app);
      else this.#events.closed(event.remote, key, event.reason);
    }
  }

  threadEnded(index: number): void {
    for (const [hex, count] of this.#open.get(index) ?? []) {
      for (let i = 0; i < count; i++) this.#events.closed(NOWHERE, Buffer.from(hex, 'hex'), 'thread ended');
    }
    this.#open.delete(index);
  }

  #count(index: number, key: Buffer, change: number): void {
    let keys = this.#open.get(index);
    if (keys === undefined) this.#open.set(index, (keys = new Map<string, number>()));
    const hex = key.toString('hex');
    const count = (keys.get(hex) ?? 0) + change;
    if (count > 0) keys.set(hex, count);
    else keys.delete(hex);
  }
}
