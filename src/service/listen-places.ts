import { readlinkSync } from 'node:fs';
import { readSystemFile, socketRows } from '../base/proc-file.ts';
import type { ListenAddress } from '../config/schema.ts';

/** Returns where to listen: the sockets of a service manager, or the configured addresses. */
export function listenPlaces(
  inherited: readonly number[],
  configured: readonly ListenAddress[],
): readonly (ListenAddress & { readonly fd?: number })[] {
  if (inherited.length === 0) return configured;
  return inherited.map((fd) => ({ ip: isIpv4Datagram(fd) ? '0.0.0.0' : '::', port: 0, fd }));
}

/** Returns whether a datagram socket is an IPv4 socket. Only the kernel knows the family of an inherited one. */
function isIpv4Datagram(fd: number): boolean {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    return socketRows(readSystemFile('/proc/self/net/udp') ?? '').some((row) => row.inode === inode);
  } catch {
    // Without that file there is no systemd either.
    return false;
  }
}
