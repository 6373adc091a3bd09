#!/usr/bin/env node
/**
 * argv → command, and the only file that ends the process. Exit codes: 0 done, 1 failed, 2 wrong usage or
 * configuration. Nearly everything is imported late, so that an old runtime is told so instead of failing on syntax,
 * and so that the signals of a relay are in hand before its code is read.
 */
import { endProcess } from './base/process-end.ts';
import { serveSignals } from './base/signals.ts';

const LEAST_NODE = [24, 11] as const;
/** A server that ends waits this long for the readers of its output. */
const OUTPUT_MS = 1000;

/** Whether this runtime can run towpath. Bun reports a Node version that it is compatible with. */
function isRuntimeNewEnough(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return 'bun' in process.versions || major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]);
}

async function run(argv: readonly string[]): Promise<number> {
  if (!isRuntimeNewEnough()) {
    process.stderr.write(
      `towpath: needs Node.js ${LEAST_NODE.join('.')} or newer; this is ${process.version} (${process.execPath})\n`,
    );
    return 1;
  }
  try {
    const { createProgram } = await import('./cli/program.ts');
    const program = await createProgram(argv);
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const { reportFailure } = await import('./cli/failure.ts');
    return reportFailure(error);
  }
}

const argv = process.argv.slice(2);
const isServer = argv[0] === 'serve';
if (isServer) serveSignals();

// A reader such as `head` may stop reading: a command then has nothing left to do, but a relay goes on.
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (!isServer) process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

/** Ends when both streams have passed everything on, as they are asynchronous. A server does not wait for long. */
function end(exitCode: number): void {
  if (isServer) setTimeout(() => endProcess(exitCode), OUTPUT_MS);
  passOn(process.stdout, () => passOn(process.stderr, () => endProcess(exitCode)));
}

/**
 * Calls `then` when everything that was written has been passed on. Node must not end the stream: a socket (of journald) would
 * end for the next process of an upgrade too, which shares it. To an empty write, Bun calls back at once.
 */
function passOn(stream: NodeJS.WriteStream, then: () => void): void {
  if ('bun' in process.versions) stream.end(then);
  else stream.write('', then);
}

// Not awaited: while its main module awaits, Bun reports an uncaught error and goes on, where it must end.
void run(argv).then(end);
