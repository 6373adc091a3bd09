import path from 'node:path';
import { Option, type Command } from 'commander';
import { Clock } from '../base/clock.ts';
import { TowpathError } from '../base/errors.ts';
import { printable, printableLines } from '../base/printable.ts';
import { shellWord } from '../base/shell-word.ts';
import { loadConfig } from '../config/load.ts';
import { formatDerpMap } from '../derp-map/derp-map-text.ts';
import { isSound } from '../tools/doctor/check.ts';
import { checkLine, verdict } from '../tools/doctor/doctor-report.ts';
import { AnswerSource, type SetupAnswers } from '../tools/setup/answers.ts';
import { thisMachine, type Machine } from '../tools/setup/machine.ts';
import { nextSteps } from '../tools/setup/next-steps.ts';
import { planSetup, type SetupPlan } from '../tools/setup/plan.ts';
import { TerminalPrompt, type Prompt } from '../tools/setup/prompt.ts';
import { askAll } from '../tools/setup/questions.ts';
import { testAnswers } from '../tools/setup/test-answers.ts';
import { makeStateDirectory, refuseExisting, writeFiles } from '../tools/setup/write-files.ts';
import { transport } from '../transport/runtime.ts';
import { relayMap } from './derp-map.ts';
import { examineAloud } from './doctor.ts';
import { ExitCode } from './failure.ts';
import { helpNote } from './help-text.ts';

const TIMEOUT_MS = 10_000;
const DOCTOR_MS = 60_000;

interface SetupFlags {
  readonly out: string;
  readonly stateDirectory: string;
  readonly service: boolean;
  readonly test: boolean;
  readonly dryRun?: true;
  readonly force?: true;
}

type Write = (text: string) => void;

/** Adds `towpath setup` to the program. `machine` is the machine that it changes; tests have their own. */
export function registerSetup(program: Command, _argv: readonly string[], machine: Machine = thisMachine()): void {
  const command = program.command('setup');
  command
    .description(
      'Set up a relay: asks what it needs to know, writes the configuration, tests it, and starts the service',
    )
    .option('--hostname <name>', 'public name or IP address of this relay')
    .option('--public-ip <list>', 'its IP addresses, for the DERP map (default: the hostname if it is one)')
    .addOption(new Option('--network <network>', 'the network that uses it: tailscale or headscale'))
    .option(
      '--admit <way>',
      'who may use the relay: tailscale-api, headscale, headscale-api, tailscaled, keys or webhook',
    )
    .option('--open', 'everyone who finds the relay may use it')
    .option('--headscale-url <url>', 'URL of the Headscale server')
    .option('--api-key-file <file>', 'file with an API key of Headscale or Tailscale')
    .option('--client-id <id>', 'ID of an OAuth client of Tailscale')
    .option('--client-secret-file <file>', 'file with its secret')
    .option('--webhook-url <url>', 'URL of the web service that is asked')
    .option('--allow-file <file>', 'file with the node keys that are admitted')
    .option('--certificate <kind>', 'where the certificate comes from: self-signed, acme or files')
    .option('--certificate-file <file>', 'file with the certificate chain (PEM)')
    .option('--certificate-key-file <file>', 'file with the key of the certificate (PEM)')
    .option('--agree-terms', "you have read the terms of Let's Encrypt and agree to them")
    .option('--email <address>', "e-mail address for Let's Encrypt")
    .option('--out <file>', 'configuration file to write', '/etc/towpath/towpath.yaml')
    .option('--state-directory <directory>', 'directory for key, certificates and lists', '/var/lib/towpath')
    .option('--no-service', 'neither install nor start a service')
    .option('--no-test', 'do not ask the source of admission before anything is written')
    .option('--dry-run', 'only show what would be written and run')
    .option('--force', 'replace files that are there; the old ones are kept with .old at their end')
    .addHelpText(
      'after',
      helpNote(
        'What no flag says is asked on the terminal. Without a terminal, all answers have to be flags: --hostname, --network, --admit or --open, --certificate, and what these need.\nExit codes: 0 done, 1 failed, 2 wrong usage.',
      ),
    )
    .action(async (flags: SetupFlags) => {
      const write: Write = (text) => command.configureOutput().writeOut?.(printableLines(text));
      await run(command, flags, machine, write);
    });
}

async function run(command: Command, flags: SetupFlags, machine: Machine, write: Write): Promise<void> {
  const prompt = process.stdin.isTTY && process.stdout.isTTY ? new TerminalPrompt() : null;
  try {
    await setUp(command, { flags, machine, prompt, write });
  } finally {
    prompt?.close();
  }
}

interface SetupParts {
  readonly flags: SetupFlags;
  readonly machine: Machine;
  /** Null without a terminal. */
  readonly prompt: Prompt | null;
  readonly write: Write;
}

async function setUp(command: Command, { flags, machine, prompt, write }: SetupParts): Promise<void> {
  const file = path.resolve(flags.out);
  const stateDirectory = path.resolve(flags.stateDirectory);
  const answers = await answersOf(command, prompt, path.dirname(file));
  const plan = planSetup(answers, { file, stateDirectory, wantsService: flags.service }, machine);
  if (flags.force !== true && flags.dryRun !== true) refuseExisting(plan.files, machine);
  if (flags.test) await test(answers, stateDirectory, write);
  if (flags.dryRun === true) {
    write(dryRunText(plan));
    return;
  }
  const question = `Write ${file}${plan.start === null ? '' : ' and start the service'}?`;
  if (prompt !== null && !(await prompt.confirm(question, true))) {
    write('Nothing was changed.\n');
    return;
  }
  writeFiles(plan.files, (written) => write(`wrote ${written}\n`));
  if (plan.start === null) makeStateDirectory(stateDirectory);
  for (const [program, ...args] of plan.commands) {
    write(`ran ${[program, ...args].join(' ')}\n`);
    machine.run(program, args);
  }
  const isGood = plan.start === null || (await examineService(file, write));
  write(conclusion(answers, file, plan, machine));
  if (!isGood) process.exitCode = ExitCode.Failed;
}

/** Returns the answers of flags and terminal. Throws `TOWPATH_USAGE_SETUP` with everything that is missing or wrong. */
async function answersOf(command: Command, prompt: Prompt | null, folder: string): Promise<SetupAnswers> {
  const given = command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => [option.name(), String(command.getOptionValue(option.attributeName()))] as const);
  const source = new AnswerSource(Object.fromEntries(given), prompt);
  const answers = await askAll(source, folder);
  const { missing, wrong } = source;
  if (wrong.length > 0) {
    throw new TowpathError('TOWPATH_USAGE_SETUP', wrong.join('; '), { hint: 'See towpath setup --help.' });
  }
  if (missing.length === 0) return answers;
  throw new TowpathError('TOWPATH_USAGE_SETUP', `these answers are missing: ${missing.join(', ')}`, {
    hint: 'Give them as flags (towpath setup --help), or run the command on a terminal, which asks for them.',
  });
}

/** Tests the answers; throws `TOWPATH_SETUP_TEST` when something fails. */
async function test(answers: SetupAnswers, stateDirectory: string, write: Write): Promise<void> {
  const clock = new Clock();
  clock.start();
  try {
    const checks = await testAnswers(answers, { stateDirectory, transport, clock, timeoutMs: TIMEOUT_MS });
    // Files that will be created are not shown. The answer of the admission source is shown.
    const news = checks.filter(({ status, step }) => status !== 'ok' || step === 'admission-source');
    for (const found of news) write(checkLine(found, process.stdout.columns));
    if (checks.every(({ status }) => status !== 'failed')) return;
  } finally {
    clock.stop();
  }
  throw new TowpathError('TOWPATH_SETUP_TEST', 'the answers do not work yet: nothing was changed', {
    hint: 'Fix what is marked with ✗ and run the command again. With --no-test, nothing is tested before.',
  });
}

async function examineService(file: string, write: Write): Promise<boolean> {
  write('\n');
  const options = {
    timeoutMs: TIMEOUT_MS / 2,
    totalMs: DOCTOR_MS,
    load: () => loadConfig({ file }),
    map: null,
    outside: [],
    stunServer: null,
    nodeKey: null,
    relayNodes: [],
  };
  const sections = await examineAloud(options, true, write);
  write(`\n${verdict(sections)}`);
  return isSound(sections);
}

function conclusion(answers: SetupAnswers, file: string, plan: SetupPlan, { program }: Machine): string {
  const notes: string[] = [];
  const { map, comments } = relayMap({ file }, {}, (note) => notes.push(note));
  const text = formatDerpMap(map, answers.network === 'headscale' ? 'headscale' : 'policy', comments);
  const start = plan.start === null ? [...program, 'serve', '--config', file].map(shellWord).join(' ') : null;
  return nextSteps({ answers, file, map: text, start }) + notes.map((note) => `note: ${printable(note)}\n`).join('');
}

function dryRunText({ files, commands }: SetupPlan): string {
  const contents = files.map(({ path: file, text, isPrivate }) => {
    return `--- ${file}\n${isPrivate ? '(a secret)\n' : text}\n`;
  });
  const runs = commands.map((words) => `would run: ${words.join(' ')}\n`);
  return `${contents.join('')}${runs.join('')}Nothing was changed.\n`;
}
