import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { formatHostPort } from '../../base/ip-address.ts';

/** Ports below this one need a privilege. */
const FIRST_FREE_PORT = 1024;

/** Returns an error that says why `ip:port` cannot be used for listening, and what to do. */
export function listenError(protocol: 'TCP' | 'UDP', ip: string, port: number, cause: unknown): TowpathError {
  const what = `${protocol} ${formatHostPort(ip, port)}`;
  switch (systemErrorCode(cause)) {
    case 'EADDRINUSE':
      return new TowpathError('TOWPATH_LISTEN_IN_USE', `Cannot listen on ${what}: the port is already in use.`, {
        hint: `Find the program with "ss -lntup 'sport = :${port}'" and stop it, or choose another port.`,
        cause,
      });
    case 'EACCES':
    case 'EPERM':
      return new TowpathError('TOWPATH_LISTEN_DENIED', `Cannot listen on ${what}: permission denied.`, {
        hint:
          port > 0 && port < FIRST_FREE_PORT
            ? 'Ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), socket activation, or the sysctl net.ipv4.ip_unprivileged_port_start.'
            : 'A security policy of this machine (SELinux, AppArmor, a container profile) forbids it.',
        cause,
      });
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return new TowpathError(
        'TOWPATH_LISTEN_ADDRESS',
        `Cannot listen on ${what}: this machine does not have that address.`,
        {
          hint: 'Use an address that "ip addr" lists, or "::" for all addresses.',
          cause,
        },
      );
    case 'EBADF':
    case 'ENOTSOCK':
    case 'EINVAL':
    case 'ERR_INVALID_FD_TYPE':
      return new TowpathError(
        'TOWPATH_LISTEN_FD',
        `Cannot listen on ${what}: the inherited descriptor is not such a socket.`,
        {
          hint: 'Compare the socket unit (ListenStream, ListenDatagram, FileDescriptorName) with the configuration.',
          cause,
        },
      );
    default:
      return new TowpathError('TOWPATH_LISTEN_FAILED', `Cannot listen on ${what}: ${errorMessage(cause)}.`, { cause });
  }
}

/** Returns whether binding `::` failed because IPv6 is off on this machine. `0.0.0.0` then works. */
export function isIpv6Off(ip: string, error: unknown): boolean {
  return ip === '::' && ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'].includes(systemErrorCode(error));
}
