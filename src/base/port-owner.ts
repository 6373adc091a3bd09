import { readdirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { readSystemFile, socketRows } from './proc-file.ts';

/** The program that holds a port. */
export interface PortOwner {
  readonly pid: number;
  readonly name: string;
}

const TABLES = { tcp: ['/proc/net/tcp', '/proc/net/tcp6'], udp: ['/proc/net/udp', '/proc/net/udp6'] } as const;
/** State of a listening TCP socket in `/proc/net/tcp`; UDP sockets that are bound have 07. */
const WAITING = { tcp: '0A', udp: '07' } as const;

/** Returns whether a program uses the port, and which. Linux only; only root sees the programs of other users. */
export function portOwner(protocol: 'tcp' | 'udp', port: number): { isTaken: boolean | null; owner: PortOwner | null } {
  const inodes = socketInodes(protocol, port);
  if (inodes === null) return { isTaken: null, owner: null };
  if (inodes.size === 0) return { isTaken: false, owner: null };
  return { isTaken: true, owner: findOwner(inodes) };
}

/** The owner as text for a message: ` (nginx, process 123)`, or empty. */
export function ownerText(owner: PortOwner | null): string {
  return owner === null ? '' : ` (${owner.name}, process ${owner.pid})`;
}

function socketInodes(protocol: 'tcp' | 'udp', port: number): Set<string> | null {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  let isReadable = false;
  for (const table of TABLES[protocol]) {
    const text = readSystemFile(table);
    if (text === null) continue;
    isReadable = true;
    for (const { local, state, inode } of socketRows(text)) {
      if (local.endsWith(suffix) && state === WAITING[protocol]) inodes.add(`socket:[${inode}]`);
    }
  }
  return isReadable ? inodes : null;
}

function findOwner(inodes: ReadonlySet<string>): PortOwner | null {
  for (const entry of list('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    if (!list(`/proc/${entry}/fd`).some((fd) => inodes.has(link(`/proc/${entry}/fd/${fd}`)))) continue;
    return { pid: Number(entry), name: programName(entry) };
  }
  return null;
}

/** The name of a program as users know it: for a script, the script and not only its runtime. */
function programName(pid: string): string {
  const words = (readSystemFile(`/proc/${pid}/cmdline`) ?? '').split('\0').filter((word) => word !== '');
  const [program = readSystemFile(`/proc/${pid}/comm`)?.trim() ?? 'unknown', ...rest] = words;
  const script = rest.find((word) => !word.startsWith('-'));
  const isRunner = /^(?:node|bun|python[\d.]*|MainThread)$/.test(basename(program));
  return isRunner && script !== undefined ? `${basename(program)} ${script}` : basename(program);
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
