import { createHmac } from 'node:crypto';
import type { NodeKeyPair } from '../../wire/keys.ts';
import { PCP_NONCE_BYTES } from '../../wire/pcp.ts';

/**
 * Returns the nonce of a port's mapping. Others cannot guess it, and it is the same after a restart, so the relay
 * renews its mapping instead of being refused (RFC 6887 §11.2).
 */
export function mappingNonce({ privateKey }: NodeKeyPair, port: number): Buffer {
  const key = privateKey.export({ type: 'pkcs8', format: 'der' });
  return createHmac('sha256', key).update(`port mapping ${port}`).digest().subarray(0, PCP_NONCE_BYTES);
}
