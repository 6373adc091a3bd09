import { execFile } from 'node:child_process';
import { loadSystemCalls } from './runtime.ts';
import { UnixDatagrams } from './unix-datagrams.ts';

/** Passes messages on to the service manager that started this process (sd_notify(3)). */
export interface Notify {
  /** Sends lines of the form `NAME=value`; false when they could not be passed on. Never rejects. */
  send(text: string): Promise<boolean>;
  close(): void;
}

/** systemd's own program takes milliseconds; one that hangs must not keep later messages back. */
const PROGRAM_MS = 5000;

/**
 * Opens the socket of the service manager at `path` (`NOTIFY_SOCKET`). Where the runtime has no system calls (Node 24),
 * systemd's program `systemd-notify` sends the messages; the unit then needs `NotifyAccess=all`. Never rejects.
 */
export async function openNotify(path: string): Promise<Notify> {
  const calls = await loadSystemCalls();
  if (calls.unavailable !== null) return byProgram(path);
  try {
    const datagrams = new UnixDatagrams(calls, path);
    return { send: (text) => Promise.resolve(datagrams.send(text)), close: () => datagrams.close() };
  } catch {
    return byProgram(path);
  }
}

function byProgram(path: string): Notify {
  return {
    send: (text) =>
      new Promise((resolve) => {
        const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', NOTIFY_SOCKET: path };
        try {
          execFile('systemd-notify', text.split('\n'), { env, timeout: PROGRAM_MS }, (error) =>
            resolve(error === null),
          );
        } catch {
          resolve(false);
        }
      }),
    close: () => undefined,
  };
}
