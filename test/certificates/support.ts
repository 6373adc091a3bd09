import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { CertificateParts } from '../../src/certificates/open.ts';
import type { CertificateLog, HealthReport } from '../../src/certificates/source.ts';
import { Clock } from '../../src/base/clock.ts';
import type { HttpAnswer } from '../../src/transport/http/request.ts';
import type { Requester } from '../../src/certificates/acme/authority-requests.ts';

export const DAY_MS = 86_400_000;
export const START: number = Date.UTC(2026, 10, 24, 12);

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** A clock, a wall clock and a log that tests drive and read. */
export class World {
  readonly clock: Clock = new Clock();
  readonly lines: LogLine[] = [];
  wall: number = START;
  /** What keeps the relay from being ready. */
  readonly problems: Map<string, string> = new Map();
  readonly health: HealthReport = {
    set: (name, problem) => (problem === null ? this.problems.delete(name) : this.problems.set(name, problem)),
  };
  /** What the certificate authority takes the time for, milliseconds since 1970; null when it does not say. */
  authorityTime: number | null = null;
  /** An authority that says where orders go, and nothing else. */
  readonly request: Requester = () => {
    const { authorityTime: time } = this;
    const headers = time === null ? {} : { date: new Date(time).toUTCString() };
    return Promise.resolve(jsonAnswer({ newOrder: 'https://ca.example/o' }, 200, headers));
  };
  readonly now = (): number => this.wall;
  readonly log: CertificateLog = {
    info: (fields, message) => this.lines.push({ level: 'info', fields, message }),
    warn: (fields, message) => this.lines.push({ level: 'warn', fields, message }),
    error: (fields, message) => this.lines.push({ level: 'error', fields, message }),
  };

  constructor() {
    this.clock.tick(0);
  }

  /** What the sources take. */
  get parts(): Omit<CertificateParts, 'serverPublicKey'> & { health: HealthReport; now: () => number } {
    const { clock, log, health, now, request } = this;
    return { clock, log, health, now, request };
  }

  /** Lets time pass and ticks once. */
  pass(milliseconds: number): void {
    this.wall += milliseconds;
    this.clock.tick(this.clock.now + milliseconds);
  }

  /** The log since the last call, as `level: message`. */
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

/** An answer over HTTP with JSON in it; the names of `headers` are in lower case. */
export function jsonAnswer(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: new Map(Object.entries(headers)), body, isWhole: true };
}
