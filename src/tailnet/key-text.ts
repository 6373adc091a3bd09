import { parseHexKey } from '../wire/keys.ts';

/** Text forms of keys in the control protocol (peer-relay reference §12): a prefix and 64 hex digits. */
const MACHINE = 'mkey:';
const DISCO = 'discokey:';

/** The 32 bytes of `mkey:…`, or null. */
export function parseMachineKey(text: string): Buffer | null {
  return parsePrefixed(MACHINE, text);
}

/** The 32 bytes of `discokey:…`, or null. */
export function parseDiscoKey(text: string): Buffer | null {
  return parsePrefixed(DISCO, text);
}

/** `discokey:` and 64 hex digits. */
export function formatDiscoKey(key: Buffer): string {
  return DISCO + key.toString('hex');
}

function parsePrefixed(prefix: string, text: string): Buffer | null {
  return text.startsWith(prefix) ? parseHexKey(text.slice(prefix.length)) : null;
}
