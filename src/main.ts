#!/usr/bin/env node
/**
 * argv → command, and the only file that ends the process. Exit codes: 0 done, 1 failed, 2 wrong usage or
 * configuration. Everything is imported late, so that an old runtime is told so instead of failing on syntax.
 */

const LEAST_NODE = [24, 11] as const;

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

// A reader such as `head` may stop reading: a command then has nothing left to do, but a relay goes on.
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (argv[0] !== 'serve') process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

// Not awaited: while its main module awaits, Bun reports an uncaught error and goes on, where it must end.
void run(argv).then((exitCode) => {
  // Both streams are asynchronous on some platforms: end when they have taken everything.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
});
