import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { CertificateParts } from '../../src/certificates/open.ts';
import type { CertificateLog, HealthReport } from '../../src/certificates/source.ts';
import { Clock } from '../../src/clock.ts';
import type { Transport } from '../../src/transport/port.ts';
import { transport } from '../../src/transport/runtime.ts';

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
    // Tests that name no authority of their own put something in the place of `fetch`.
    const fetchTrusting: Transport['fetchTrusting'] = (caPem) =>
      caPem === null ? (url, init) => fetch(url, init) : transport.fetchTrusting(caPem);
    return { clock: this.clock, log: this.log, health: this.health, now: this.now, fetchTrusting };
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
