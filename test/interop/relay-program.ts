import { findRuntime, RUNTIMES } from '../../src/cli/runtime.ts';

/** The runtime of the relays of these tests: this Node, or the one in TOWPATH_INTEROP_RUNTIME. */
export const RELAY_PROGRAM: string = program(process.env['TOWPATH_INTEROP_RUNTIME'] ?? 'node');

function program(wanted: string): string {
  const name = RUNTIMES.find((runtime) => runtime === wanted);
  if (name === undefined) throw new Error(`TOWPATH_INTEROP_RUNTIME is ${wanted}; it can be ${RUNTIMES.join(' or ')}`);
  return name === 'node' ? process.execPath : findRuntime(name);
}

/** Whether that is Bun, for tests of functions that Bun does not have. */
export const RUNS_ON_BUN: boolean = RELAY_PROGRAM !== process.execPath;
