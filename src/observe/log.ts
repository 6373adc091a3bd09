import { isatty } from 'node:tty';
import pino, { type DestinationStream, type Logger } from 'pino';
import { printableLines } from '../base/printable.ts';
import { LineStyle } from './line-style.ts';
import { LineWriter } from './line-writer.ts';

/** Buffered lines reach the file after this time at the latest. */
const FLUSH_EVERY_MS = 1000;
/** Buffered lines reach the file when there are more characters of them than this. */
const BLOCK_LENGTH = 4096;
/** The end of the process waits this long for its log. */
const FLUSH_LIMIT_MS = 1000;
const STANDARD_ERROR = 2;

/** A second protection, besides the rule that secrets are never logged. */
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
  /** For the server: writes never block, and JSON lines are written in blocks. Needs a flush at the end. */
  readonly isBuffered?: boolean;
}

/** A log and its end. */
export interface Log {
  readonly log: Logger;
  /** Resolves when every line so far has reached the file or pipe, or cannot; a second from now at the latest. */
  readonly flush: () => Promise<void>;
  /** Drops the lines that are not written yet, so that the end of the process does not wait for them. */
  readonly close: () => void;
}

/** Makes the log of the process. It never fails when nothing reads it: lines are then lost. */
export function createLog(options: LogOptions): Log {
  const { stream = STANDARD_ERROR } = options;
  const isTerminal = typeof stream === 'number' ? isatty(stream) : stream.isTTY === true;
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && isTerminal);
  const writer =
    options.isBuffered === true && typeof stream === 'number'
      ? new LineWriter(stream, {
          blockLength: isPretty ? 0 : BLOCK_LENGTH,
          everyMs: FLUSH_EVERY_MS,
          onLost: (lines) => log.warn({ lines }, 'log lines were lost: they could not be written'),
        })
      : null;
  const lines = writer ?? (typeof stream === 'number' ? syncFile(stream) : stream);
  const target = isPretty ? prettyLines(lines, isTerminal && (process.env['NO_COLOR'] ?? '') === '') : lines;
  const log = makeLogger(options.level, target);
  return {
    log,
    flush: async () => writer?.flush(FLUSH_LIMIT_MS),
    close: () => writer?.close(),
  };
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

function prettyLines(lines: LogStream, isColored: boolean): LogStream {
  const style = new LineStyle(isColored);
  return { write: (line) => lines.write(style.format(line)) };
}

/** A log that cannot be written must not stop the process. */
function ignore(): void {
  // This cannot be reported: the log itself has failed.
}
