import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../base/errors.ts';
import { AcmeFailure } from './failure.ts';

const OUTPUT_CHARACTERS = 300;
const HINT = 'Run it by hand: COMMAND set _acme-challenge.NAME VALUE. It must end with exit code 0.';

/** The operator's command that adds and removes TXT records. */
export interface DnsHookOptions {
  /** Program and first arguments; no shell reads them. */
  readonly command: readonly string[];
  readonly timeoutSeconds: number;
  /** Time from the end of the command until all name servers have the record. */
  readonly waitSeconds: number;
}

/** Adds the record with `COMMAND set NAME VALUE`; returns a function that removes it with `COMMAND clear NAME VALUE`. */
export async function showDns(hook: DnsHookOptions, name: string, value: string): Promise<() => Promise<void>> {
  const record = `_acme-challenge.${name}`;
  await run(hook, ['set', record, value]);
  await sleep(hook.waitSeconds * 1000);
  return () => run(hook, ['clear', record, value]);
}

function run({ command, timeoutSeconds }: DnsHookOptions, move: readonly string[]): Promise<void> {
  const [program = '', ...first] = command;
  const what = `the DNS hook "${[...command, move[0]].join(' ')}"`;
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new AcmeFailure('local', `${what} ${why}`, { hint: HINT }));
    const child = spawn(program, [...first, ...move], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutSeconds * 1000,
      killSignal: 'SIGKILL',
    });
    let said = '';
    const keep = (chunk: Buffer): void => {
      said = `${said}${chunk.toString('utf8')}`.slice(-OUTPUT_CHARACTERS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => fail(`cannot be run: ${errorMessage(error)}`));
    // Not 'close': a background process of the hook may keep the output open for ever.
    child.on('exit', (code, signal) => {
      child.stdout.destroy();
      child.stderr.destroy();
      if (code === 0) resolve();
      else if (signal === 'SIGKILL') fail(`was killed after ${timeoutSeconds} s`);
      else fail(`ended with ${code ?? signal ?? 'nothing'}: ${errorMessage(said.trim())}`);
    });
  });
}
