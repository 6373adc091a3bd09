import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DirectoryLock } from '../../base/directory-lock.ts';
import { errorMessage, systemErrorCode } from '../../base/errors.ts';
import { readSmallFile } from '../../base/file-stamp.ts';
import { writePrivateFile } from '../../base/private-file.ts';
import { ENDPOINTS_NAME, type PeerRelayConfig } from '../../config/schema/peer-relay.ts';
import type { UdpRelayState } from '../../relay/udp/state.ts';

const FILE = `${ENDPOINTS_NAME}.json`;
/** Oldest usable state. Clients have found another path long before, and an older file may be a backup. */
const MOST_AGE_MS = 600_000;
/** An endpoint takes about 1.3 KiB, and there are at most 65,536. */
const LIMIT_BYTES = 128 * 1024 * 1024;

/** The state of the earlier process, and its age. */
export interface EarlierState {
  readonly state: UdpRelayState;
  readonly ageMs: number;
}

const bytes = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')));
const key = bytes.refine((value) => value.length === 32);
const count = z.number().min(0);
const node = z.string().nullable();
const side = z.object({
  key,
  sharedKey: key,
  node,
  words: z.array(z.int()).length(16).nullable(),
  generation: z.int().min(0),
  seenAgoMs: count,
  bindAgoMs: z.number(),
  boundAgoMs: z.number(),
  packets: count,
  bytes: count,
});
const endpoint = z.object({
  vni: z.int(),
  lamportId: count,
  asker: node,
  ageMs: count,
  sides: z.tuple([side, side]),
});
const stored = z.object({
  version: z.literal(1),
  /** Milliseconds since 1970. */
  savedAt: z.number(),
  state: z.object({
    serverPrivateKey: key,
    lamportId: count,
    secrets: z.object({ secrets: z.array(key).min(1).max(2), ageMs: count }),
    endpoints: z.array(endpoint),
  }),
});

/** Locks the state directory for this process. Throws a TowpathError when another one has it, or it cannot be written. */
export function lockStateDirectory({ stateDirectory }: Pick<PeerRelayConfig, 'stateDirectory'>): DirectoryLock {
  return DirectoryLock.take(stateDirectory, 'peerRelay.stateDirectory');
}

/** Writes the endpoints for the next process. Only the owner can read the file, because it contains keys. */
export function saveState(directory: string, state: UdpRelayState, now: number = Date.now()): void {
  const text = JSON.stringify({ version: 1, savedAt: now, state }, (_name, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  );
  writePrivateFile(join(directory, FILE), text, { replace: true });
}

/**
 * Reads and removes the state of the earlier process, so that it is used once. Null when there is no usable state;
 * `problem` gets the reason, unless the file is missing or too old.
 */
export function takeState(
  directory: string,
  problem: (why: string) => void,
  now: number = Date.now(),
): EarlierState | null {
  const path = join(directory, FILE);
  let text: string;
  try {
    text = readSmallFile(path, LIMIT_BYTES);
    rmSync(path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT') problem(code === '' ? `${path}: ${errorMessage(error)}` : `${code} ${path}`);
    return null;
  }
  try {
    const { savedAt, state } = stored.parse(JSON.parse(text));
    const ageMs = now - savedAt;
    // Below 0, the clock was set back in between.
    return Math.abs(ageMs) <= MOST_AGE_MS ? { state, ageMs: Math.max(0, ageMs) } : null;
  } catch {
    // The parser's message may contain a key.
    problem(`${path} is not what this version writes`);
    return null;
  }
}
