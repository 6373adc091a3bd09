import { join } from 'node:path';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { VERSION } from '../../base/version.ts';
import { readSmallFile } from '../../base/file-stamp.ts';
import { MESH_ENTRY, type MeshConfig } from '../../config/schema/mesh.ts';
import type { RelaySettings } from '../../relay/settings.ts';
import { isZeroKey, parseHexKey } from '../../wire/keys.ts';

/** The program name that a relay sends to the others, at most 32 bytes (protocol reference §12). */
export const MESH_APP: string = `towpath/${VERSION}`.slice(0, 32);

const KEY_BYTES = 4096;
const AUTHORITY_BYTES = 1024 * 1024;
const MOST_KEYS = 2;
const HINT =
  'A mesh key is 64 hex digits, the same for all relays of the region: make one with "openssl rand -hex 32 > FILE" and allow only the user that runs towpath to read it.';

type MeshSettings = RelaySettings['live']['mesh'];
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the relay's mesh settings. Reads the mesh key and the authorities. Throws a TowpathError with the file or the
 * variable, and never with their contents.
 */
export function meshSettings(config: MeshConfig, environment: Environment): MeshSettings {
  return {
    keys: readKeys(config, environment),
    with: [...new Set(config.with)].map(readEntry),
    caPem: config.caFile === undefined ? null : readFile(config.caFile, AUTHORITY_BYTES),
    queueBytes: config.queueBytes,
    clientsPerRelay: config.clientsPerRelay,
    app: MESH_APP,
  };
}

function readKeys({ key, keyFile }: MeshConfig, environment: Environment): Buffer[] {
  if (keyFile !== undefined) return parseKeys(readFile(keyFile, KEY_BYTES), keyFile);
  if (key === undefined) return [];
  const [kind, name] = key.split(':', 2) as [string, string];
  if (kind === 'env') return parseKeys(environment[name] ?? '', `the environment variable ${name}`);
  const directory = environment['CREDENTIALS_DIRECTORY'];
  if (directory === undefined) {
    throw new TowpathError('TOWPATH_MESH_KEY', `mesh.key: there is no credential ${name}: systemd has set none`, {
      hint: `Add LoadCredential=${name}:FILE to the unit of towpath.`,
    });
  }
  const path = join(directory, name);
  return parseKeys(readFile(path, KEY_BYTES), path);
}

/** Parses one key, or two during a change of the key, one per line. */
function parseKeys(text: string, place: string): Buffer[] {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const keys = lines.map(parseHexKey).filter((key) => key !== null);
  const isGood = lines.length >= 1 && lines.length <= MOST_KEYS && keys.length === lines.length;
  if (isGood && !keys.some(isZeroKey)) return keys;
  const problem =
    lines.length === 0
      ? 'is empty or not set'
      : lines.length > MOST_KEYS
        ? `has ${lines.length} lines; a mesh has one key, or two while it changes`
        : keys.some(isZeroKey)
          ? 'contains a key of zeros, so it protects nothing'
          : 'contains no mesh key';
  throw new TowpathError('TOWPATH_MESH_KEY', `mesh: ${place} ${problem}`, { hint: HINT });
}

function readEntry(name: string): MeshSettings['with'][number] {
  const [, scheme, ipv6, host, port, pin] = MESH_ENTRY.exec(name)!;
  return {
    name,
    host: (ipv6 ?? host ?? '').toLowerCase(),
    port: port === undefined ? null : Number(port),
    isSecure: scheme?.toLowerCase() !== 'http',
    pin: pin?.toLowerCase() ?? null,
  };
}

function readFile(path: string, limitBytes: number): string {
  try {
    return readSmallFile(path, limitBytes);
  } catch (error) {
    const why = systemErrorCode(error) || errorMessage(error);
    throw new TowpathError('TOWPATH_MESH_FILE', `mesh: cannot read ${path}: ${why}`, {
      hint: 'Check the path, and allow the user that runs towpath to read the file.',
      cause: error,
    });
  }
}
