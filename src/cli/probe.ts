import type { Command } from 'commander';
import { Clock } from '../base/clock.ts';
import { probeRelay } from '../tools/probe/probe.ts';
import type { ProbeTarget, TargetOverrides } from '../tools/probe/target.ts';
import { loadKeyFile } from '../service/key-file.ts';
import { transport } from '../transport/runtime.ts';
import { ExitCode } from './failure.ts';
import { heading, isGood, probeLines, reportJson, summary, type TargetReport } from '../tools/probe/probe-report.ts';
import { helpNote } from './help-text.ts';
import { readTargets } from './probe-targets.ts';
import { addTargetFlags, targetOverrides, whole, type TargetFlags } from './target-flags.ts';

const MAX_PACKETS = 10_000;
const MAX_TIMEOUT_S = 60;
const MAX_PORT = 65_535;

interface ProbeFlags extends TargetFlags {
  readonly keyFile?: string;
  readonly websocket?: true;
  readonly packets: number;
  readonly stunPort?: number;
  readonly httpPort?: number;
  readonly timeout: number;
  readonly json?: true;
}

/** Adds `towpath probe` to the program. */
export function registerProbe(program: Command): void {
  const command = program.command('probe');
  command
    .description('Check a relay from outside, step by step, and say how to fix what fails.')
    .argument('<relay>', 'URL of the relay (https://HOST[:PORT]/derp), or the file or URL of a DERP map');
  addTargetFlags(command)
    .option(
      '--key-file <file>',
      'log in with this key, for a relay that admits only some nodes: one of "towpath keygen", admitted by a list',
    )
    .option('--websocket', 'send the packets over WebSocket; a failure of WebSocket is then an error')
    .option('--packets <n>', 'number of packets to send in each direction', whole(1, MAX_PACKETS), 50)
    .option(
      '--stun-port <port>',
      'UDP port of STUN, or -1 for none (default: the port in the map, else 3478)',
      whole(-1, MAX_PORT),
    )
    .option(
      '--http-port <port>',
      'TCP port for the /generate_204 check (default: 80 if the map has CanPort80, else no check)',
      whole(1, MAX_PORT),
    )
    .option(
      '--timeout <seconds>',
      `time limit of each step in seconds (at most ${MAX_TIMEOUT_S})`,
      whole(1, MAX_TIMEOUT_S),
      10,
    )
    .option('--json', 'print the report as JSON only')
    .addHelpText('after', helpNote('Exit codes: 0 no step failed, 1 a step failed, 2 wrong usage.'))
    .action(async (relay: string, flags: ProbeFlags) => {
      const write = (text: string): void => command.configureOutput().writeOut?.(text);
      const targets = await readTargets(relay, flags.region ?? null, await overrides(flags), flags.timeout * 1000);
      const reports = await probeAll(targets, flags, flags.json === true ? () => undefined : write);
      write(flags.json === true ? reportJson(reports) : summary(reports));
      if (!reports.every(isGood)) process.exitCode = ExitCode.Failed;
    });
}

async function probeAll(
  targets: readonly ProbeTarget[],
  flags: ProbeFlags,
  write: (text: string) => void,
): Promise<TargetReport[]> {
  const clock = new Clock();
  clock.start();
  const options = {
    transport,
    clock,
    timeoutMs: flags.timeout * 1000,
    packets: flags.packets,
    websocket: flags.websocket === true,
    keys: flags.keyFile === undefined ? null : loadKeyFile(flags.keyFile).keyPair,
  };
  const reports: TargetReport[] = [];
  try {
    for (const target of targets) {
      write(heading(target));
      const steps = await probeRelay(target, {
        ...options,
        onStep: (result) => write(probeLines(result, process.stdout.columns)),
      });
      reports.push({ target, steps });
    }
  } finally {
    clock.stop();
  }
  return reports;
}

async function overrides(flags: ProbeFlags): Promise<TargetOverrides> {
  const { stunPort, httpPort } = flags;
  return {
    ...(await targetOverrides(flags)),
    ...(stunPort === undefined ? {} : { stunPort }),
    ...(httpPort === undefined ? {} : { httpPort }),
  };
}
