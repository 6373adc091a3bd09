import { errorMessage, TowpathError } from '../base/errors.ts';

/**
 * Returns the error for a file of certificates that cannot be read. `hint` says what to do about a file that is not in the
 * certificate directory of the relay.
 */
export function unreadable(path: string, cause: unknown, hint?: string): TowpathError {
  return new TowpathError('TOWPATH_CERTIFICATE_UNREADABLE', `${path}: ${errorMessage(cause)}`, {
    hint: hint ?? 'Allow the user that runs towpath to read it, or choose another certificate directory.',
    cause,
  });
}

/** Returns the error for a file of the relay's certificate directory that cannot be written. */
export function unwritable(path: string, cause: unknown): TowpathError {
  return new TowpathError('TOWPATH_CERTIFICATE_UNWRITABLE', `${path}: ${errorMessage(cause)}`, {
    hint: 'Allow the user that runs towpath to write there, or choose another certificate directory.',
    cause,
  });
}
