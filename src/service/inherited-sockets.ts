import { TowpathError } from '../base/errors.ts';

/** The uses of a listening socket. */
const ROLES = ['derp', 'http', 'stun', 'admin'] as const;
type Role = (typeof ROLES)[number];

/** Descriptors of listening sockets by their role. */
export type InheritedSockets = Readonly<Record<Role, readonly number[]>>;

/** The first descriptor that a service manager passes (sd_listen_fds(3)). */
export const FIRST_FD = 3;
const MAX_FDS = 64;

/** For a process that opens its sockets itself. */
export const NO_SOCKETS: InheritedSockets = { derp: [], http: [], stun: [], admin: [] };

export type Environment = Record<string, string | undefined>;

/**
 * Returns the sockets that systemd opened for this process (`LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`), or that the
 * previous process passes on (`LISTEN_PREVIOUS_PID`). Removes the variables from `env`, so that child processes do not
 * use them. Throws a TowpathError when a socket has no known name.
 */
export function takeInheritedSockets(
  env: Environment = process.env,
  { pid, ppid }: Pick<typeof process, 'pid' | 'ppid'> = process,
): InheritedSockets {
  const { LISTEN_PID: forPid, LISTEN_PREVIOUS_PID: fromPid, LISTEN_FDS: count = '', LISTEN_FDNAMES: names = '' } = env;
  delete env['LISTEN_PID'];
  delete env['LISTEN_PREVIOUS_PID'];
  delete env['LISTEN_FDS'];
  delete env['LISTEN_FDNAMES'];
  delete env['LISTEN_PIDFDID'];
  if ((forPid !== String(pid) && fromPid !== String(ppid)) || count === '') return NO_SOCKETS;
  const total = Number(count);
  if (!/^\d+$/.test(count) || total > MAX_FDS) {
    throw socketsError(`LISTEN_FDS is ${JSON.stringify(count)}, which is not a number of sockets`);
  }
  const sockets: Record<Role, number[]> = { derp: [], http: [], stun: [], admin: [] };
  const list = names === '' ? [] : names.split(':');
  for (let i = 0; i < total; i++) {
    const name = list[i] ?? '';
    if (!isRole(name)) throw socketsError(`socket ${i + 1} of ${total} has the name ${JSON.stringify(name)}`);
    sockets[name].push(FIRST_FD + i);
  }
  return sockets;
}

/**
 * Returns the descriptors of `sockets` in their order, and the variables that describe them to a process that gets them
 * from 3 on.
 */
export function describeSockets(sockets: InheritedSockets): { fds: number[]; variables: Record<string, string> } {
  const all = ROLES.flatMap((role) => sockets[role].map((fd) => ({ role, fd })));
  const variables = { LISTEN_FDS: String(all.length), LISTEN_FDNAMES: all.map(({ role }) => role).join(':') };
  return { fds: all.map(({ fd }) => fd), variables };
}

function isRole(name: string): name is Role {
  return ROLES.some((role) => role === name);
}

function socketsError(problem: string): TowpathError {
  return new TowpathError('TOWPATH_LISTEN_NAMES', `The sockets from systemd cannot be used: ${problem}.`, {
    hint: `Give each socket unit a line FileDescriptorName= with one of ${ROLES.join(', ')}.`,
  });
}
