import { formatHostPort } from '../base/ip-address.ts';
import { AdminClient, type AdminTarget } from '../client/admin-client.ts';
import type { AdminConfig } from '../config/schema/admin.ts';
import { readAdminToken } from './admin-token.ts';

/**
 * Returns how a program on this machine reaches the admin listener of a relay with this configuration: by its Unix
 * socket if there is one. Null when the listener is off. Throws a TowpathError when the token cannot be read.
 */
export function adminTarget(
  admin: AdminConfig,
  env: Readonly<Record<string, string | undefined>> = process.env,
): AdminTarget | null {
  const token = readAdminToken(admin, env);
  if (admin.socket !== undefined) return { url: 'http://localhost', socketPath: admin.socket, token };
  if (admin.listen === null) return null;
  const { ip, port } = admin.listen;
  const local = ip === '::' || ip === '0.0.0.0' ? '127.0.0.1' : ip;
  return { url: `${admin.tls ? 'https' : 'http'}://${formatHostPort(local, port)}`, token };
}

/**
 * Returns a client for that listener, with the time limit of a request in milliseconds; null when the listener is off.
 */
export function openAdmin(admin: AdminConfig, timeoutMs?: number): AdminClient | null {
  const target = adminTarget(admin);
  return target === null ? null : new AdminClient(target, timeoutMs);
}
