import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { Answer } from '../../src/admission/source.ts';
import { Clock } from '../../src/base/clock.ts';
import type { EventLog } from '../../src/base/event-log.ts';

/** Longest wait for other programs, in milliseconds; only a failing test waits this long. */
const PATIENCE_MS = 30_000;

export const START: number = Date.UTC(2026, 10, 24, 12);

interface Line {
  readonly level: 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A clock and a wall clock that tests set, and a log that they read. */
export class World {
  readonly clock: Clock = new Clock();
  readonly lines: Line[] = [];
  wall: number = START;
  readonly #waiting = new Set<() => void>();
  readonly log: EventLog = {
    info: (fields, message) => this.#add({ level: 'info', fields: { ...fields }, message }),
    warn: (fields, message) => this.#add({ level: 'warn', fields: { ...fields }, message }),
    error: (fields, message) => this.#add({ level: 'error', fields: { ...fields }, message }),
  };

  constructor() {
    this.clock.tick(0);
  }

  /** The dependencies of the sources. */
  get parts(): { clock: Clock; log: EventLog; now: () => number } {
    return { clock: this.clock, log: this.log, now: () => this.wall };
  }

  /** Advances the clock and ticks once. */
  pass(seconds: number): void {
    this.wall += seconds * 1000;
    this.clock.tick(this.clock.now + seconds * 1000);
  }

  /** Resolves with the first line, old or new, that contains `message`, and removes it from the log. */
  async line(message: string): Promise<Line> {
    return within(
      new Promise((resolve) => {
        const look = (): void => {
          const at = this.lines.findIndex((line) => line.message.includes(message));
          if (at < 0) return;
          this.#waiting.delete(look);
          resolve(this.lines.splice(at, 1)[0]!);
        };
        this.#waiting.add(look);
        look();
      }),
      `a line "${message}"; there are ${JSON.stringify(this.lines)}`,
    );
  }

  #add(line: Line): void {
    this.lines.push(line);
    for (const look of this.#waiting) look();
  }
}

/** Resolves like the promise; rejects after a deadline. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A request that a fake service got. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Reply = (response: ServerResponse, request: Received) => void;

/** A web service on the loopback whose answers a test chooses. */
export class FakeService {
  readonly received: Received[] = [];
  reply: Reply;
  readonly #server: Server;

  constructor(reply: Reply) {
    this.reply = reply;
    this.#server = createServer((request, response) => void this.#take(request, response));
  }

  async listen(where: number | string = 0): Promise<void> {
    if (typeof where === 'string') this.#server.listen(where);
    else this.#server.listen(where, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method = '', url = '', headers } = request;
    const received = { method, url, headers, body: Buffer.concat(chunks).toString() };
    this.received.push(received);
    // The tests have clocks of their own.
    response.sendDate = false;
    this.reply(response, received);
  }
}

/** Answers with JSON. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Reply {
  return (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
  };
}

/** Returns the node key of `seed`, as hex. */
export function hexKey(seed: number): string {
  return seed.toString(16).padStart(2, '0').repeat(32);
}

/** Returns the reason of a refusal, or `yes`. */
export function reasonOf(answer: Answer | null): string {
  return answer === null || answer === 'yes' ? String(answer) : answer.reason;
}

/** A directory for the tests of one suite. */
export function scratch(): { readonly path: string } {
  const directory = { path: '' };
  before(() => (directory.path = mkdtempSync(join(tmpdir(), 'towpath-admission-'))));
  after(() => rmSync(directory.path, { recursive: true }));
  return directory;
}

/** Returns a port of the loopback on which no program listens. */
export async function closedPort(): Promise<number> {
  const service = new FakeService(() => undefined);
  await service.listen();
  const { port } = service;
  await service.close();
  return port;
}
