import { AdminClient } from '../../client/admin-client.ts';
import { adminTarget } from '../../service/admin-target.ts';
import type { ExaminedRelay } from './examined-relay.ts';

/** The admin listener of the running relay; null when it is off. Throws a TowpathError when its token cannot be read. */
export function openAdmin({ config, timeoutMs }: Pick<ExaminedRelay, 'config' | 'timeoutMs'>): AdminClient | null {
  const target = adminTarget(config.admin);
  return target === null ? null : new AdminClient(target, timeoutMs);
}
