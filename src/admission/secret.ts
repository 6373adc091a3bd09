import { readFile } from 'node:fs/promises';
import { errorMessage } from '../errors.ts';
import { SourceFailure } from './failure.ts';

/** A secret that is read anew each time, so that it can be replaced without a restart. */
export type Secret = () => Promise<string>;

/**
 * Where a secret comes from: a file, or `env:NAME`. Null when neither is given. Reading fails with a
 * {@link SourceFailure} that names the place and never the secret.
 */
export function openSecret(reference: string | undefined, file: string | undefined): Secret | null {
  if (file !== undefined) return () => readSecretFile(file);
  if (reference === undefined) return null;
  const name = reference.slice('env:'.length);
  return () => Promise.resolve().then(() => usable(process.env[name] ?? '', `the environment variable ${name}`));
}

async function readSecretFile(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new SourceFailure('local', `the secret cannot be read: ${errorMessage(error)}`);
  }
  return usable(text.trim(), file);
}

function usable(secret: string, place: string): string {
  if (secret === '') throw new SourceFailure('local', `${place} is empty or not set`);
  // A header with a line end or a wide character would be refused with a message that repeats it.
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new SourceFailure('local', `${place} holds no usable secret`);
  return secret;
}
