import type { RelayEvents } from '../../relay/relay.ts';
import type { Endpoint } from '../../transport/port.ts';
import type { ConnectionNote } from './relay-threads.ts';

/** Passes on the events of connections of relay threads, and the end of all connections of a thread that ends. */
export class ConnectedKeys {
  readonly #events: RelayEvents;
  /** Addresses of the open connections, by the index of the thread and by key in hex. */
  readonly #open = new Map<number, Map<string, Endpoint[]>>();

  constructor(events: RelayEvents) {
    this.#events = events;
  }

  /** Passes on the events in a message of the thread `index`. */
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
      if (event.kind === 'opened') {
        this.#opened(index, key, event.remote);
        this.#events.opened(event.remote, key, event.app);
      } else {
        this.#closed(index, key, event.remote);
        this.#events.closed(event.remote, key, event.reason);
      }
    }
  }

  /** Reports the end of all connections of a thread that has ended. */
  threadEnded(index: number): void {
    for (const [hex, remotes] of this.#open.get(index) ?? []) {
      for (const remote of remotes) this.#events.closed(remote, Buffer.from(hex, 'hex'), 'thread ended');
    }
    this.#open.delete(index);
  }

  #opened(index: number, key: Buffer, remote: Endpoint): void {
    let keys = this.#open.get(index);
    if (keys === undefined) this.#open.set(index, (keys = new Map<string, Endpoint[]>()));
    const hex = key.toString('hex');
    const remotes = keys.get(hex);
    if (remotes === undefined) keys.set(hex, [remote]);
    else remotes.push(remote);
  }

  #closed(index: number, key: Buffer, { ip, port }: Endpoint): void {
    const keys = this.#open.get(index);
    const hex = key.toString('hex');
    const remotes = keys?.get(hex);
    if (remotes === undefined) return;
    const at = remotes.findIndex((remote) => remote.ip === ip && remote.port === port);
    if (at >= 0) remotes.splice(at, 1);
    if (remotes.length === 0) keys?.delete(hex);
  }
}
