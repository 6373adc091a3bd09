import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { CertificateParts } from '../../src/certificates/open.ts';
import type { HealthReport } from '../../src/certificates/source.ts';
import { Clock } from '../../src/base/clock.ts';
import type { HttpAnswer } from '../../src/transport/http/request.ts';
import type { Requester } from '../../src/certificates/acme/authority-requests.ts';
import type { EventLog } from '../../src/base/event-log.ts';

export const DAY_MS = 86_400_000;
export const START: number = Date.UTC(2026, 10, 24, 12);

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** A clock and a wall clock that tests set, and a log that they read. */
export class World {
  readonly clock: Clock = new Clock();
  readonly lines: LogLine[] = [];
  wall: number = START;
  /** The problems because of which the relay is not ready. */
  readonly problems: Map<string, string> = new Map();
  readonly health: HealthReport = {
    set: (name, problem) => (problem === null ? this.problems.delete(name) : this.problems.set(name, problem)),
  };
  /** Time of the certificate authority, in milliseconds since 1970; null: its answers have no `Date`. */
  authorityTime: number | null = null;
  /** An authority that answers only with its directory. */
  readonly request: Requester = () => {
    const { authorityTime: time } = this;
    const headers = time === null ? {} : { date: new Date(time).toUTCString() };
    return Promise.resolve(jsonAnswer({ newOrder: 'https://ca.example/o' }, 200, headers));
  };
  readonly now = (): number => this.wall;
  readonly log: EventLog = {
    info: (fields, message) => this.lines.push({ level: 'info', fields, message }),
    warn: (fields, message) => this.lines.push({ level: 'warn', fields, message }),
    error: (fields, message) => this.lines.push({ level: 'error', fields, message }),
  };

  constructor() {
    this.clock.tick(0);
  }

  /** The dependencies of the sources. */
  get parts(): Omit<CertificateParts, 'serverPublicKey'> & { health: HealthReport; now: () => number } {
    const { clock, log, health, now, request } = this;
    return { clock, log, health, now, request };
  }

  /** Advances the clock and ticks once. */
  pass(milliseconds: number): void {
    this.wall += milliseconds;
    this.clock.tick(this.clock.now + milliseconds);
  }

  /** Returns the log lines since the last call, as `level: message`. */
  said(): string[] {
    return this.lines.splice(0).map(({ level, message }) => `${level}: ${message}`);
  }
}

/** A directory for the tests of one suite. */
export function scratch(): { readonly path: string } {
  const directory = { path: '' };
  before(() => (directory.path = mkdtempSync(join(tmpdir(), 'towpath-certificates-'))));
  after(() => rmSync(directory.path, { recursive: true }));
  return directory;
}

/** Returns an HTTP answer with a JSON body; the names of `headers` are in lower case. */
export function jsonAnswer(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: new Map(Object.entries(headers)), body, isWhole: true };
}
