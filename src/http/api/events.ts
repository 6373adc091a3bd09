import type { ServerResponse } from 'node:http';
import type { ConnectionQuery, LiveEvents } from '../../api/shapes.ts';
import type { Clock } from '../../base/clock.ts';
import type { AdminApi } from './port.ts';

/** Most viewers at the same time. Each costs a connection and a page of rows per period. */
export const MOST_VIEWERS = 32;
const STATUS_MS = 1000;
const CONNECTIONS_MS = 2000;
/** A viewer that takes no bytes for this time is disconnected. */
const STALLED_MS = 30_000;

interface Viewer {
  readonly response: ServerResponse;
  /** Null: the viewer does not want connections. */
  readonly query: ConnectionQuery | null;
  /** When the viewer had last taken everything that was written, by the clock in milliseconds. */
  tookMs: number;
}

/**
 * Live updates as server-sent events: `status` once a second, and every two seconds the page of connections that a
 * viewer asked for. Events for several viewers are made once. Without viewers, nothing is made.
 */
export class LiveEventStreams {
  readonly #api: AdminApi;
  readonly #clock: Clock;
  readonly #viewers = new Set<Viewer>();
  #leaveClock: (() => void) | null = null;
  #statusMs = 0;
  #connectionsMs = 0;

  constructor(api: AdminApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** Starts the stream of one viewer. Returns false when there are too many. */
  open(response: ServerResponse, query: ConnectionQuery | null): boolean {
    if (this.#viewers.size >= MOST_VIEWERS) return false;
    const viewer: Viewer = { response, query, tookMs: this.#clock.now };
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    response.on('close', () => this.#leave(viewer));
    response.on('error', () => this.#leave(viewer));
    this.#viewers.add(viewer);
    this.#leaveClock ??= this.#clock.onTick((now) => this.#tick(now));
    send(viewer, eventText('status', this.#api.status()));
    if (query !== null) send(viewer, eventText('connections', this.#api.connections(query)));
    return true;
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    this.#leaveClock?.();
    this.#leaveClock = null;
  }

  #tick(now: number): void {
    if (now - this.#statusMs >= STATUS_MS) {
      this.#statusMs = now;
      const text = eventText('status', this.#api.status());
      for (const viewer of this.#viewers) this.#offer(viewer, text, now);
    }
    if (now - this.#connectionsMs >= CONNECTIONS_MS) {
      this.#connectionsMs = now;
      const made = new Map<object, string>();
      for (const viewer of this.#viewers) {
        if (viewer.query === null) continue;
        // Equal queries get the same object.
        const page = this.#api.connections(viewer.query);
        const text = made.get(page) ?? eventText('connections', page);
        made.set(page, text);
        this.#offer(viewer, text, now);
      }
    }
  }

  /** A viewer that has not taken the last event misses this one. */
  #offer(viewer: Viewer, text: string, now: number): void {
    if (!viewer.response.writableNeedDrain) {
      viewer.tookMs = now;
      send(viewer, text);
    } else if (now - viewer.tookMs > STALLED_MS) {
      viewer.response.destroy();
    }
  }
}

function send({ response }: Viewer, text: string): void {
  response.write(text);
}

function eventText<Name extends keyof LiveEvents>(name: Name, data: LiveEvents[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
