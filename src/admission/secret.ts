import { readSmallFile } from '../base/file-stamp.ts';
import { errorMessage, systemErrorCode } from '../base/errors.ts';
import { SourceFailure } from './failure.ts';
import { redactPath } from '../base/redact-url.ts';

const SECRET_BYTES = 64 * 1024;

/** A secret that is read for each use, so that it can be replaced without a restart. */
export type Secret = () => Promise<string>;

/**
 * Opens a secret from a file or from `env:NAME`. Null when neither is given. Reading fails with a
 * {@link SourceFailure} that names the file or variable, never the secret.
 */
export function openSecret(reference: string | undefined, file: string | undefined): Secret | null {
  if (file !== undefined) return () => Promise.resolve().then(() => readSecretFile(file));
  if (reference === undefined) return null;
  const name = reference.slice('env:'.length);
  return () => Promise.resolve().then(() => usable(process.env[name] ?? '', `the environment variable ${name}`));
}

function readSecretFile(file: string): string {
  let text: string;
  try {
    text = readSmallFile(file, SECRET_BYTES);
  } catch (error) {
    const code = systemErrorCode(error);
    const why = error instanceof SourceFailure || code === '' ? errorMessage(error) : code;
    throw new SourceFailure('local', `the secret cannot be read: ${why} ${redactPath(file)}`);
  }
  return usable(text.trim(), redactPath(file));
}

function usable(secret: string, place: string): string {
  if (secret === '') throw new SourceFailure('local', `${place} is empty or not set`);
  // A header with a line end or a non-ASCII character would be refused with a message that contains the secret.
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new SourceFailure('local', `${place} does not contain a usable secret`);
  return secret;
}
