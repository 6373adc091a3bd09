/**
 * Puts the browser's files into modules of the program, as text: `npm run build:page`. They are the status page (page/) and
 * the plots of a load report (page/load-report/). Bun bundles their scripts. A test fails when a module is older than its
 * sources.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findRuntime } from '../src/cli/runtime.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const UPLOT_STYLE = 'node_modules/uplot/dist/uPlot.min.css';

/** A module that holds files as text. */
interface TextModule {
  /** Path of the module. */
  readonly target: string;
  /** Everything that the module is made of, as patterns. */
  readonly sources: readonly string[];
  /** The line above the constant. */
  readonly comment: string;
  /** Name of the constant. */
  readonly constant: string;
  /** Returns the text of each file. */
  readonly files: () => Readonly<Record<string, string>>;
}

/** The modules that `npm run build:page` makes. */
export const MODULES: readonly TextModule[] = [
  {
    target: 'src/http/page/files.ts',
    sources: ['page/*.*', 'node_modules/uplot/package.json', 'src/api/shapes.ts'],
    comment: 'The files of the status page as text.',
    constant: 'PAGE_FILES',
    files: () => ({
      html: read('page/index.html'),
      script: bundle('page/main.ts'),
      style: `${read(UPLOT_STYLE)}\n${read('page/style.css')}`,
      icon: read('page/icon.svg'),
    }),
  },
  {
    target: 'src/tools/load/plot-files.ts',
    sources: [
      'page/load-report/*.*',
      'node_modules/uplot/package.json',
      ...['plots', 'scale', 'format'].map((name) => `src/tools/load/${name}.ts`),
    ],
    comment:
      'What draws the plots of a load report: a script, its style sheet and the hash of the script for the page policy.',
    constant: 'PLOT_FILES',
    files: () => {
      const script = bundle('page/load-report/main.ts');
      if (/<\/script|<!--/i.test(script)) throw new Error('the script cannot stand inside HTML');
      const hash = createHash('sha256').update(script).digest('base64');
      return { script, style: read(UPLOT_STYLE), scriptHash: `sha256-${hash}` };
    },
  },
];

/** Returns a hash of everything that a module is made of. */
export function sourceHash(sources: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of globSync(sources, { cwd: ROOT }).sort()) hash.update(`${file}\n`).update(read(file));
  return hash.digest('hex');
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

function bundle(main: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-page-'));
  try {
    const file = path.join(folder, 'page.js');
    const flags = ['build', main, '--minify', '--target=browser', '--format=iife', `--outfile=${file}`];
    execFileSync(findRuntime('bun'), flags, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function build({ target, sources, comment, constant, files }: TextModule): void {
  const entries = Object.entries(files());
  const names = entries.map(([name]) => `'${name}'`).join(' | ');
  writeFileSync(
    path.join(ROOT, target),
    [
      '// Made by "npm run build:page" from page/. Do not edit.',
      `// Sources: ${sourceHash(sources)}`,
      '// With uPlot (MIT License, Copyright (c) 2022 Leon Sorokin).',
      `/** ${comment} */`,
      `export const ${constant}: Readonly<Record<${names}, string>> = {`,
      ...entries.map(([name, text]) => `  ${name}: ${JSON.stringify(text)},`),
      '};',
      '',
    ].join('\n'),
  );
}

if (process.argv[1] === import.meta.filename) MODULES.forEach(build);
