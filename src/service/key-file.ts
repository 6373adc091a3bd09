import { existsSync, lstatSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errorMessage, systemErrorCode, TowpathError } from '../base/errors.ts';
import { generatePrivateKeyText, parsePrivateKey, type NodeKeyPair } from '../wire/keys.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import { isOpenToEveryone, isOpenToOthers, writePrivateFile } from '../base/private-file.ts';

/** The result of reading a key file. */
export interface KeyFile {
  readonly keyPair: NodeKeyPair;
  /** True when there was none and a new key was written. */
  readonly created: boolean;
  /** Warnings for the operator; full sentences. */
  readonly warnings: readonly string[];
}

/** Largest key file. Real ones have about 100 bytes. */
const LARGEST_FILE_BYTES = 1024 * 1024;
const RESTORE_HINT =
  'Restore the file from a backup. Or move it away and start again: the relay makes a new key, and clients learn it automatically.';

/** Returns the text of a new key file, as derper writes it (protocol reference §7.2). */
export function newKeyFileText(): string {
  return `${JSON.stringify({ PrivateKey: generatePrivateKeyText() }, null, '\t')}\n`;
}

/** Reads the text of a key file; `path` is for the error only. JSON keys match in any case, as in Go. */
export function parseKeyFile(text: string, path: string): NodeKeyPair {
  const value = parseJson(text, path);
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const privateKey: unknown = entries.find(([name]) => name.toLowerCase() === 'privatekey')?.[1];
  if (typeof privateKey !== 'string') throw invalid(path, 'it has no "PrivateKey"');
  try {
    return parsePrivateKey(privateKey);
  } catch (error) {
    throw invalid(path, errorMessage(error));
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message would repeat the text, which is a secret.
    throw invalid(path, text.trim() === '' ? 'it is empty' : 'it is not JSON');
  }
}

function invalid(path: string, reason: string): TowpathError {
  return new TowpathError('TOWPATH_KEY_FILE_INVALID', `key file ${path}: ${reason}`, { hint: RESTORE_HINT });
}

/** Reads a key file of derper or of towpath. Throws a {@link TowpathError} that names the file. */
export function loadKeyFile(path: string): KeyFile {
  let text: string;
  try {
    text = readSmallFile(path, LARGEST_FILE_BYTES);
  } catch (error) {
    throw unreadable(path, error);
  }
  const keyPair = parseKeyFile(text, path);
  const isOpen = isCredential(path) ? isOpenToEveryone(path) : isOpenToOthers(path);
  const warnings = isOpen ? [`key file ${path} can be read by other users; run "chmod 600 ${path}"`] : [];
  return { keyPair, created: false, warnings };
}

/**
 * Returns whether systemd made the file for this service (`LoadCredential=`). It gives the user access by an access
 * control list, which shows as rights of the group.
 */
function isCredential(path: string): boolean {
  const directory = process.env['CREDENTIALS_DIRECTORY'] ?? '';
  return directory !== '' && dirname(path) === resolve(directory);
}

function unreadable(path: string, cause: unknown): TowpathError {
  const missing = systemErrorCode(cause) === 'ENOENT';
  return new TowpathError('TOWPATH_KEY_FILE_UNREADABLE', `key file ${path}: ${errorMessage(cause)}`, {
    hint: missing
      ? `Create it with "towpath keygen --out ${path}".`
      : 'Allow the user that runs towpath to read it, or choose another file with keyFile.',
    cause,
  });
}

/**
 * Writes a new key to `path`; throws `TOWPATH_KEY_FILE_EXISTS` when there is a file already. Only the last folder of
 * the path is made. When more are missing, the path is probably wrong, and a relay with a new key is another relay.
 */
export function createKeyFile(path: string): KeyFile {
  refuseMissingFolders(path);
  const text = newKeyFileText();
  try {
    writePrivateFile(path, text, { replace: false });
  } catch (error) {
    throw notWritten(path, error);
  }
  return { keyPair: parseKeyFile(text, path), created: true, warnings: [] };
}

function refuseMissingFolders(path: string): void {
  const parent = dirname(dirname(resolve(path)));
  if (existsSync(parent)) return;
  throw new TowpathError('TOWPATH_KEY_FILE_UNWRITABLE', `key file ${path}: there is no folder ${parent}`, {
    hint: `Correct the path (keyFile), or make the folder first: mkdir -p ${dirname(resolve(path))}`,
  });
}

function notWritten(path: string, cause: unknown): TowpathError {
  if (leadsNowhere(path)) {
    return new TowpathError(
      'TOWPATH_KEY_FILE_UNWRITABLE',
      `key file ${path} is a symbolic link to a file that does not exist`,
      {
        hint: 'Check that the target is mounted. To start with a new key, remove the link.',
        cause,
      },
    );
  }
  if (systemErrorCode(cause) === 'EEXIST' && existsSync(path)) {
    return new TowpathError('TOWPATH_KEY_FILE_EXISTS', `key file ${path} already exists and was not changed`, {
      hint: 'Choose another name, or move the old key away first. Keep it: it cannot be made again.',
      cause,
    });
  }
  return new TowpathError('TOWPATH_KEY_FILE_UNWRITABLE', `key file ${path}: ${errorMessage(cause)}`, {
    hint: 'Allow the user that runs towpath to write there, or choose another file with keyFile.',
    cause,
  });
}

function leadsNowhere(path: string): boolean {
  try {
    return !existsSync(path) && lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

/** Reads the server's key, or makes it on the first start. Throws a TowpathError when the file cannot be used. */
export function loadOrCreateKeyFile(path: string): KeyFile {
  try {
    return loadKeyFile(path);
  } catch (error) {
    if (!(error instanceof TowpathError) || systemErrorCode(error.cause) !== 'ENOENT') throw error;
  }
  try {
    return createKeyFile(path);
  } catch (error) {
    // Another process was faster. Its key is used.
    if (error instanceof TowpathError && error.code === 'TOWPATH_KEY_FILE_EXISTS') return loadKeyFile(path);
    throw error;
  }
}
