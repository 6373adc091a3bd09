/**
 * Builds every package, installs it where it belongs and starts it: `npm run test:packages`, or with the names of
 * the steps. Needs root and Debian; installs the Debian packages that it uses. Prints the seconds of each step.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { ROOT, VERSION } from '../../scripts/packages/executable.ts';
import { makeBase } from './base.ts';
import { has, run } from './command.ts';
import { debianArchitecture, installDebianPackages } from './debian-packages.ts';

const work = mkdtempSync(path.join(tmpdir(), 'towpath-packages-'));

const STEPS: Readonly<Record<string, () => void>> = {
  'Debian packages': installDebianPackages,
  'build:deb': () => npm('build:deb'),
  base: () => void makeBase(),
  deb: testDeb,
  'build:image': () => npm('build:image'),
  image: testImage,
  'build:chart': () => npm('build:chart'),
  chart: testChart,
  install: () => isolated('install.ts', freshRoot('install'), debFile()),
  npm: () => script('npm.ts', folder('npm')),
};

function npm(script: string): void {
  console.log(run('npm', ['run', '--silent', script]).trimEnd());
}

/** A root directory from {@link makeBase}. */
function freshRoot(name: string): string {
  const root = path.join(work, name);
  run('mkdir', [root]);
  run('tar', ['-C', root, '-xf', makeBase()]);
  return root;
}

/** Runs one file of this folder in network, mount and process name spaces of its own. */
function isolated(file: string, ...args: string[]): void {
  const program = [process.execPath, path.join(import.meta.dirname, file), ...args];
  const { status } = spawnSync('unshare', ['--net', '--mount', '--pid', '--fork', '--kill-child', ...program], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`${file} failed`);
}

function testDeb(): void {
  isolated('deb.ts', freshRoot('deb'), debFile());
}

function debFile(): string {
  return path.join(ROOT, 'build', `towpath_${VERSION}_${debianArchitecture()}.deb`);
}

function testImage(): void {
  const archive = path.join(ROOT, 'build', `towpath-${VERSION}-oci.tar`);
  isolated('image.ts', archive, folder('image'), debianArchitecture());
}

function testChart(): void {
  if (!has('go', 'lint and templates, checked with the types of the Kubernetes API')) return;
  const render = path.join(work, 'render');
  run('go', ['build', '-C', path.join(import.meta.dirname, 'render'), '-o', render, '.'], { CGO_ENABLED: '0' });
  script('chart.ts', path.join(ROOT, 'build', `towpath-${VERSION}.tgz`), folder('chart'), render);
}

function folder(name: string): string {
  const made = path.join(work, name);
  run('mkdir', [made]);
  return made;
}

/** Runs one file of this folder. */
function script(file: string, ...args: string[]): void {
  const { status } = spawnSync(process.execPath, [path.join(import.meta.dirname, file), ...args], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${file} failed`);
}

const wanted = process.argv.slice(2);
const seconds: string[] = [];
try {
  for (const [name, step] of Object.entries(STEPS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    console.log(`== ${name}`);
    const startedAt = performance.now();
    step();
    seconds.push(`${name} ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${seconds.join(', ')}; ${Math.round(performance.now() / 1000)} s in all`);
