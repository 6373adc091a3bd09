import { TowpathError } from '../base/errors.ts';

/** Advice about the address of each kind of listener, with its configuration key. */
const WAYS_OUT = {
  listen: 'The key is listen (--listen); if clients use another port, set derpPort too.',
  http: 'The key is http (--http); "http: off" turns it off.',
  stun: 'The key is stun (--stun); "stun: off" turns it off.',
  admin: 'The key is admin (--admin); "admin: off" turns it off.',
} as const;

/** A configuration key of a listen address. */
export type ListenKey = keyof typeof WAYS_OUT;

/**
 * Runs `open`. When the address cannot be opened, the error names the configuration key of the address and how to change
 * it; sockets that a service manager has opened (`isInherited`) have no key.
 */
export async function naming<T>(key: ListenKey, isInherited: boolean, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (isInherited || !(error instanceof TowpathError) || !error.code.startsWith('TOWPATH_LISTEN_')) throw error;
    const hint = [error.hint, WAYS_OUT[key]].filter((part) => part !== undefined).join(' ');
    throw new TowpathError(error.code, `${key}: ${error.message}`, { hint, cause: error.cause });
  }
}
