import inspector from 'node:inspector';

/**
 * Closes Node's debugger, unless the command line asks for it. SIGUSR1 opens it on a loopback port before the first line
 * of this program has run, and a program that reaches that port can read the private keys. Returns whether it was open.
 */
export function closeDebugger(): boolean {
  if ('bun' in process.versions || isWanted() || inspector.url() === undefined) return false;
  inspector.close();
  return true;
}

function isWanted(): boolean {
  return [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((option) => option.includes('--inspect'));
}
