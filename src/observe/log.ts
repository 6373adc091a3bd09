import { isatty } from 'node:tty';
import pino, { type DestinationStream, type Logger } from 'pino';
import { printableLines } from '../printable.ts';
import { LineStyle } from './line-style.ts';

/** Buffered lines reach the file after this time at the latest. */
const FLUSH_EVERY_MS = 1000;
/** Buffered lines reach the file when there are this many bytes of them. */
const BUFFER_BYTES = 4096;
const STANDARD_ERROR = 2;

/** A net below the rule that secrets are never logged. */
const SECRETS = ['privateKey', 'meshKey', 'PrivateKey', 'authKey', 'keyPem'].flatMap((name) => [name, `*.${name}`]);

/** Where log lines go. */
interface LogStream {
  /** Takes whole lines. */
  write(lines: string): unknown;
  readonly isTTY?: boolean;
}

/** How to log. */
export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** `auto` is pretty on a terminal and json elsewhere. */
  readonly format: 'auto' | 'json' | 'pretty';
  /** A stream of the caller, which gets each line at once, or a file descriptor; standard error by default. */
  readonly stream?: LogStream | number;
  /** For the server: JSON lines are written in blocks and not waited for. Needs a flush at the end. */
  readonly isBuffered?: boolean;
}

/** A log and the way to be sure that it is written. */
export interface Log {
  readonly log: Logger;
  /** Resolves when every line so far has reached the file or pipe, or cannot any more. */
  readonly flush: () => Promise<void>;
}

/** Makes the log of the process. It never fails for want of a reader: lines are then lost. */
export function createLog(options: LogOptions): Log {
  const { stream = STANDARD_ERROR } = options;
  const isTerminal = typeof stream === 'number' ? isatty(stream) : stream.isTTY === true;
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && isTerminal);
  const buffered = options.isBuffered === true && !isPretty && typeof stream === 'number' ? bufferedFile(stream) : null;
  const lines = buffered?.destination ?? (typeof stream === 'number' ? syncFile(stream) : stream);
  const target = isPretty ? prettyLines(lines, isTerminal && (process.env['NO_COLOR'] ?? '') === '') : lines;
  return { log: makeLogger(options.level, target), flush: buffered?.flush ?? (() => Promise.resolve()) };
}

function makeLogger(level: LogOptions['level'], target: LogStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: printableLines },
      redact: { paths: SECRETS, censor: '[secret]' },
    },
    target as DestinationStream,
  );
}

function syncFile(fd: number): LogStream {
  const destination = pino.destination({ dest: fd, sync: true });
  destination.on('error', ignore);
  return destination;
}

function bufferedFile(fd: number): { destination: LogStream; flush: () => Promise<void> } {
  const destination = pino.destination({ dest: fd, sync: false, minLength: BUFFER_BYTES });
  destination.on('error', ignore);
  setInterval(() => destination.flush(), FLUSH_EVERY_MS).unref();
  return { destination, flush: () => new Promise((resolve) => destination.flush(() => resolve())) };
}

function prettyLines(lines: LogStream, isColored: boolean): LogStream {
  const style = new LineStyle(isColored);
  return { write: (line) => lines.write(style.format(line)) };
}

/** A log that nobody reads is no reason to end. */
function ignore(): void {
  // Nothing can be told: the log itself is what is gone.
}
