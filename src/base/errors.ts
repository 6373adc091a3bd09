/**
 * The base of all other folders; it uses none of them. It has errors with a hint for the user, the clock and deadlines,
 * IP addresses and networks, text that is safe to print, private files, and facts about this process. Read this file
 * first: every error that a user can cause is a {@link TowpathError}.
 */
import { withoutOpenSslText } from './openssl-text.ts';
import { printable } from './printable.ts';

/** Options of a {@link TowpathError}. */
interface TowpathErrorOptions {
  /** How to fix it: a full sentence. */
  readonly hint?: string;
  /** The original error, for the log at debug level. */
  readonly cause?: unknown;
}

/**
 * An error that a person can cause and can fix. The command line prints `message` and `hint` and no stack trace.
 * `code` is stable, upper case and starts with `TOWPATH_`.
 */
export class TowpathError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: TowpathErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TowpathError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The `code` property of a system error such as `EADDRINUSE`, or the empty string. */
export function systemErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * Returns the message of anything thrown, on one line and without terminal control characters, because it may contain
 * text of a peer. Errors of the TLS library are replaced by plain text.
 */
export function errorMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return printable(withoutOpenSslText(onOneLine(text)));
}

/** Joins the lines of a text, without the blanks around them. */
export function onOneLine(text: string): string {
  if (!text.includes('\n') && !text.includes('\r')) return text;
  const lines = text.replaceAll('\r', '\n').split('\n');
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
}

/** Called for a bug: `where` names the kind of call that threw `error`. */
export type InternalErrorListener = (where: string, error: unknown) => void;

/** Without a listener, a bug ends the process as any uncaught error does. */
const endProcess: InternalErrorListener = (_where, error) => {
  queueMicrotask(() => {
    throw error;
  });
};

let internalErrorListener = endProcess;

/** Calls `listener` for all bugs from now on; returns a function that unsubscribes. */
export function onInternalError(listener: InternalErrorListener): () => void {
  internalErrorListener = listener;
  return () => {
    if (internalErrorListener === listener) internalErrorListener = endProcess;
  };
}

/**
 * Reports an exception of a callback of a timer, a signal or a socket, which no caller could catch. A loop that calls
 * several such callbacks catches for each of them, so that one bug does not stop the others.
 */
export function internalError(where: string, error: unknown): void {
  internalErrorListener(where, error);
}
