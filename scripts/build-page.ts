/**
 * Puts the status page (page/) into one module of the server: `npm run build:page`. The page is bundled by Bun; a test
 * fails when the module is older than its sources.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findRuntime } from '../src/cli/runtime.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const TARGET = path.join(ROOT, 'src/http/page/files.ts');
const SOURCES = ['page/*', 'node_modules/uplot/package.json', 'src/api/shapes.ts'];

/** A hash of everything that the page is made of. */
export function sourceHash(): string {
  const hash = createHash('sha256');
  for (const file of globSync(SOURCES, { cwd: ROOT }).sort()) hash.update(`${file}\n`).update(read(file));
  return hash.digest('hex');
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

function bundle(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-page-'));
  try {
    const file = path.join(folder, 'page.js');
    const flags = ['build', 'page/main.ts', '--minify', '--target=browser', '--format=iife', `--outfile=${file}`];
    execFileSync(findRuntime('bun'), flags, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function build(): void {
  const files = {
    html: read('page/index.html'),
    script: bundle(),
    style: `${read('node_modules/uplot/dist/uPlot.min.css')}\n${read('page/style.css')}`,
    icon: read('page/icon.svg'),
  };
  const lines = Object.entries(files).map(([name, text]) => `  ${name}: ${JSON.stringify(text)},`);
  writeFileSync(
    TARGET,
    [
      '// Made by "npm run build:page" from page/. Do not edit.',
      `// Sources: ${sourceHash()}`,
      '// With uPlot (MIT License, Copyright (c) 2022 Leon Sorokin).',
      '/** The files of the status page as text. */',
      "export const PAGE_FILES: Readonly<Record<'html' | 'script' | 'style' | 'icon', string>> = {",
      ...lines,
      '};',
      '',
    ].join('\n'),
  );
}

if (process.argv[1] === import.meta.filename) build();
