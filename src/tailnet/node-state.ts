import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { isOpenToOthers, writePrivateFile } from '../base/private-file.ts';
import { errorMessage, systemErrorCode, TowpathError } from '../base/errors.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import { generatePrivateKeyText, parsePrivateKey, type NodeKeyPair } from '../wire/keys.ts';

const LOG_ID_BYTES = 32;
/** Largest file that is read. Real ones are smaller than 1 KiB. */
const LIMIT_BYTES = 1024 * 1024;

/** The state of a node of a tailnet on the disk. */
interface StoredState {
  readonly version: 1;
  readonly controlUrl: string;
  readonly machineKey: string;
  readonly nodeKey: string;
  /** The private node key before a rotation that the server has not confirmed; null otherwise. */
  readonly previousNodeKey: string | null;
  readonly discoKey: string;
  readonly logId: string;
  readonly isRegistered: boolean;
}

const stored: z.ZodType<StoredState> = z.object({
  version: z.literal(1),
  controlUrl: z.string(),
  machineKey: z.string(),
  nodeKey: z.string(),
  previousNodeKey: z.string().nullable(),
  discoKey: z.string(),
  logId: z.string(),
  isRegistered: z.boolean(),
});

/** The identity of one node of one tailnet, in a file that only its owner can read. Every change is written at once. */
export class NodeState {
  readonly path: string;
  readonly machine: NodeKeyPair;
  readonly disco: NodeKeyPair;
  /** A warning about the file, which can still be used, or null. */
  readonly warning: string | null;
  #node: NodeKeyPair;
  #stored: StoredState;

  private constructor(path: string, state: StoredState, warning: string | null) {
    this.path = path;
    this.#stored = state;
    this.warning = warning;
    this.machine = parsePrivateKey(state.machineKey);
    this.disco = parsePrivateKey(state.discoKey);
    this.#node = parsePrivateKey(state.nodeKey);
    if (state.previousNodeKey !== null) parsePrivateKey(state.previousNodeKey);
  }

  /**
   * Reads the state of the tailnet `name`, or makes a new one. Throws a TowpathError when the file exists and cannot be
   * used.
   */
  static open(directory: string, name: string, controlUrl: string): NodeState {
    const path = statePath(directory, name);
    const found = readStored(path);
    const warning =
      found !== null && isOpenToOthers(path) ? 'others may read this file; its mode should be 0600' : null;
    if (found === null) {
      const state = new NodeState(path, newState(controlUrl), null);
      state.#save({});
      return state;
    }
    const state = withKeys(path, () => new NodeState(path, found, warning));
    // Another control server does not know this node.
    if (!isSameServer(found.controlUrl, controlUrl))
      state.#save({ controlUrl, isRegistered: false, previousNodeKey: null });
    return state;
  }

  /** Like {@link open}, but null when there is no state, and without writing anything. */
  static peek(directory: string, name: string): NodeState | null {
    const path = statePath(directory, name);
    const found = readStored(path);
    return found === null ? null : withKeys(path, () => new NodeState(path, found, null));
  }

  /**
   * Reads what an earlier process may have changed since: the node key, and whether the server knows it. Returns whether the
   * key is another one. Throws a TowpathError when the file cannot be used.
   */
  readAgain(): boolean {
    const found = readStored(this.path);
    if (found === null) return false;
    const before = this.#node;
    this.#node = withKeys(this.path, () => parsePrivateKey(found.nodeKey));
    const { nodeKey, previousNodeKey, isRegistered } = found;
    this.#stored = { ...this.#stored, nodeKey, previousNodeKey, isRegistered };
    return !before.publicKey.equals(this.#node.publicKey);
  }

  get node(): NodeKeyPair {
    return this.#node;
  }

  get controlUrl(): string {
    return this.#stored.controlUrl;
  }

  get isRegistered(): boolean {
    return this.#stored.isRegistered;
  }

  /** 64 random hex digits. */
  get logId(): string {
    return this.#stored.logId;
  }

  /** The key that {@link node} replaces, until the server has confirmed the change; null otherwise. */
  get previousNodeKey(): Buffer | null {
    const { previousNodeKey } = this.#stored;
    return previousNodeKey === null ? null : parsePrivateKey(previousNodeKey).publicKey;
  }

  /**
   * The server has confirmed the node's present key. Throws a TowpathError when that cannot be written; it holds for
   * this process nevertheless.
   */
  registered(): void {
    if (!this.isRegistered || this.#stored.previousNodeKey !== null)
      this.#learn({ isRegistered: true, previousNodeKey: null });
  }

  /** The server does not know the node, or no longer. Throws like {@link registered}. */
  forgotten(): void {
    if (this.isRegistered) this.#learn({ isRegistered: false, previousNodeKey: null });
  }

  /**
   * Makes a new node key; the old one is kept until {@link registered}, or comes back with {@link restore}. Throws a
   * TowpathError, and changes nothing, when it cannot be written: a restart would lose the key.
   */
  rotate(): void {
    // The server still knows the node by the key of the last confirmation.
    const previousNodeKey = this.#stored.previousNodeKey ?? this.#stored.nodeKey;
    this.#save({ nodeKey: generatePrivateKeyText(), previousNodeKey, isRegistered: false });
    this.#node = parsePrivateKey(this.#stored.nodeKey);
  }

  /** Undoes a {@link rotate} that the server did not accept: the node keeps its old key. */
  restore(): void {
    const { previousNodeKey } = this.#stored;
    if (previousNodeKey === null) return;
    this.#save({ nodeKey: previousNodeKey, previousNodeKey: null, isRegistered: true });
    this.#node = parsePrivateKey(previousNodeKey);
  }

  /** Takes a fact of the server, which is true even when it cannot be written. */
  #learn(fact: Partial<StoredState>): void {
    this.#stored = { ...this.#stored, ...fact };
    this.#save({});
  }

  #save(change: Partial<StoredState>): void {
    const next = { ...this.#stored, ...change };
    try {
      writePrivateFile(this.path, `${JSON.stringify(next, null, 2)}\n`, { replace: true });
      this.#stored = next;
    } catch (error) {
      throw new TowpathError('TOWPATH_TAILNET_STATE', `${this.path} cannot be written: ${errorMessage(error)}`, {
        hint: 'Name a directory that this user may write to with peerRelay.stateDirectory.',
        cause: error,
      });
    }
  }
}

/** Only scheme, host and port matter: another spelling of the URL must not make the node register again. */
function isSameServer(stored: string, configured: string): boolean {
  return URL.parse(stored)?.origin === new URL(configured).origin;
}

/** Where the state of a tailnet is. */
function statePath(directory: string, name: string): string {
  return join(directory, `${name}.json`);
}

function newState(controlUrl: string): StoredState {
  return {
    version: 1,
    controlUrl,
    machineKey: generatePrivateKeyText(),
    nodeKey: generatePrivateKeyText(),
    previousNodeKey: null,
    discoKey: generatePrivateKeyText(),
    logId: randomBytes(LOG_ID_BYTES).toString('hex'),
    isRegistered: false,
  };
}

function readStored(path: string): StoredState | null {
  let text: string;
  try {
    text = readSmallFile(path, LIMIT_BYTES);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw unusable(path, errorMessage(error));
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // The parser's message would repeat a part of the file, which contains keys.
    throw unusable(path, 'it is not JSON');
  }
  const result = stored.safeParse(parsed);
  if (!result.success) throw unusable(path, `${result.error.issues[0]?.path.join('.') ?? ''} is missing or wrong`);
  return result.data;
}

function withKeys<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw unusable(path, errorMessage(error));
  }
}

function unusable(path: string, why: string): TowpathError {
  return new TowpathError('TOWPATH_TAILNET_STATE', `${path} cannot be used: ${why}`, {
    hint: 'Put the file back from a backup, or remove it: the node then registers anew, and needs an auth key or a login.',
  });
}
