import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { readSmallFile } from '../../base/file-stamp.ts';
import type { PeerRelayLimitsConfig, TailnetConfig } from '../../config/schema/peer-relay.ts';
import type { NodeSettings } from '../../tailnet/node-settings.ts';

const KEY_BYTES = 4096;
const AUTHORITY_BYTES = 1024 * 1024;
const ENV_PREFIX = 'env:';

/** Returns the settings of the node in one tailnet. Throws a TowpathError when a file that they name cannot be read. */
export function nodeSettings(config: TailnetConfig, region: number, limits: PeerRelayLimitsConfig): NodeSettings {
  const { name, controlUrl, hostname, tags, capabilityVersion, caFile } = config;
  return {
    name,
    controlUrl,
    hostname,
    tags,
    capabilityVersion,
    region,
    readAuthKey: () => readAuthKey(config),
    caPem: caFile === undefined ? null : readFile(caFile, AUTHORITY_BYTES, 'certificate authority'),
    mapBytes: limits.mapBytes,
    peers: limits.peers,
  };
}

/** Reads the auth key again, so that it can be replaced without a restart; null when none is configured. */
function readAuthKey({ name, authKey, authKeyFile }: TailnetConfig): string | null {
  if (authKeyFile !== undefined) return usable(readFile(authKeyFile, KEY_BYTES, 'auth key'), authKeyFile, name);
  if (authKey === undefined) return null;
  const variable = authKey.slice(ENV_PREFIX.length);
  return usable(process.env[variable] ?? '', `the environment variable ${variable}`, name);
}

function usable(text: string, place: string, tailnet: string): string {
  const key = text.trim();
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw new TowpathError(
    'TOWPATH_AUTH_KEY',
    `${place} ${key === '' ? 'is empty or not set' : 'contains no auth key'} (tailnet ${tailnet})`,
    { hint: 'Make an auth key in the tailnet, and put it there.' },
  );
}

function readFile(path: string, limitBytes: number, what: string): string {
  try {
    return readSmallFile(path, limitBytes);
  } catch (error) {
    const why = systemErrorCode(error) || errorMessage(error);
    throw new TowpathError('TOWPATH_PEER_RELAY_FILE', `cannot read the ${what} ${path}: ${why}`, { cause: error });
  }
}
