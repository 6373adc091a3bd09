import { once } from 'node:events';
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { EXPORT_FORMATS, exportTraffic, type ExportFormat } from '../accounting/export.ts';
import { readTraffic, STORE_FILE } from '../accounting/traffic-store.ts';
import { dayOf } from '../accounting/usage.ts';
import { TowpathError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

interface ExportOptions {
  readonly from?: string;
  readonly to?: string;
  readonly format: ExportFormat;
}

/** Adds `towpath accounting export` to the program. */
export function registerAccounting(program: Command): void {
  const accounting = program.command('accounting').description('Traffic by node key and day, from the disk');
  addConfigFlags(accounting.command('export'))
    .description('Print what each key has sent and received, by day (UTC)')
    .option('--from <day>', 'first day, such as 2026-11-01 (default: the first day of this month)')
    .option('--to <day>', 'last day (default: today)')
    .addOption(new Option('--format <format>', 'what to print').choices(EXPORT_FORMATS).default('csv'))
    .action((options: ExportOptions, command: Command) => print(options, command));
}

async function print({ from, to, format }: ExportOptions, command: Command): Promise<void> {
  const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
  const today = dayOf(Date.now());
  const days = [dayOption('--from', from ?? `${today.slice(0, 7)}-01`), dayOption('--to', to ?? today)] as const;
  const rows = readTraffic(join(config.accounting.directory, STORE_FILE), ...days);
  for await (const text of exportTraffic(rows, format)) {
    // A month of many keys is longer than what a pipe takes at once.
    if (!process.stdout.write(text)) await once(process.stdout, 'drain');
  }
}

function dayOption(flag: string, text: string): string {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (!Number.isNaN(time) && dayOf(time) === text) return text;
  throw new TowpathError('TOWPATH_USAGE_DAY', `${flag}: found ${text}; allowed: a day such as 2026-11-27`);
}
