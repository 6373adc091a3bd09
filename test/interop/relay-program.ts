import { findRuntime, RUNTIMES } from '../../src/cli/runtime.ts';

/** What runs the relays of these tests: this Node, or the runtime that TOWPATH_INTEROP_RUNTIME names. */
export const RELAY_PROGRAM: string = program(process.env['TOWPATH_INTEROP_RUNTIME'] ?? 'node');

function program(wanted: string): string {
  const name = RUNTIMES.find((runtime) => runtime === wanted);
  if (name === undefined) throw new Error(`TOWPATH_INTEROP_RUNTIME is ${wanted}; it can be ${RUNTIMES.join(' or ')}`);
  return name === 'node' ? process.execPath : findRuntime(name);
}

/** Whether that is Bun, for what Bun cannot do. */
export const RUNS_ON_BUN: boolean = RELAY_PROGRAM !== process.execPath;
