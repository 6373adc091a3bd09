/**
 * Builds the Debian packages of all architectures, or of the named ones: `npm run build:deb`. Comments in deploy/ say what each
 * file is for. `DEB_VERSION` overrides the version of the package, for a test of an upgrade.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { ARCHITECTURES, buildExecutable, ROOT, VERSION, type Architecture } from './executable.ts';
import { licences } from './licences.ts';
import { copyInto, sourceDate, writeInto } from './reproducible.ts';

const MAINTAINER = 'The towpath authors <towpath@localhost>';
const UNITS = ['towpath.service', 'towpath.socket', 'towpath-http.socket', 'towpath-stun.socket'];
const CONFIGURATION = ['towpath.yaml', 'allowed-keys'];
/** The shells, and where Debian looks for what they complete. */
const COMPLETIONS: Readonly<Record<string, string>> = {
  bash: 'usr/share/bash-completion/completions/towpath',
  zsh: 'usr/share/zsh/vendor-completions/_towpath',
  fish: 'usr/share/fish/vendor_completions.d/towpath.fish',
};
const version = process.env['DEB_VERSION'] ?? VERSION;

/** Builds the package of one architecture; returns its path. */
function buildDeb(architecture: Architecture): string {
  const folder = path.join(ROOT, 'build', 'deb', architecture);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'usr/bin'), { recursive: true });
  buildExecutable(path.join(folder, 'usr/bin/towpath'), architecture);
  for (const unit of UNITS) writeInto(folder, `usr/lib/systemd/system/${unit}`, unitText(unit));
  copyInto(folder, 'usr/lib/sysctl.d/90-towpath.conf', 'deploy/sysctl/90-towpath.conf');
  for (const name of CONFIGURATION) copyInto(folder, `etc/towpath/${name}`, `deploy/deb/${name}`);
  addCompletions(folder);
  addDocumentation(folder);
  addControl(folder, architecture);
  const output = path.join(ROOT, 'build', `towpath_${version}_${architecture}.deb`);
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(sourceDate()) };
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', folder]);
  // Debian 12 and every Ubuntu read zstd; xz would take a minute.
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z9', '--build', folder, output], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return output;
}

/** Returns the text of a unit, with the user that the package creates instead of `DynamicUser`. */
function unitText(name: string): string {
  const text = readFileSync(path.join(ROOT, 'deploy/systemd', name), 'utf8');
  if (!name.endsWith('.service')) return text;
  const own = text.replace(/^DynamicUser=yes$/m, 'User=towpath\nGroup=towpath');
  if (own === text) throw new Error(`${name} has no line DynamicUser=yes`);
  return own;
}

function addCompletions(folder: string): void {
  for (const [shell, file] of Object.entries(COMPLETIONS)) {
    const made = spawnSync(process.execPath, [path.join(ROOT, 'src/main.ts'), 'completion', shell], {
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(`towpath completion ${shell}: ${made.stderr}`);
    writeInto(folder, file, made.stdout);
  }
}

function addDocumentation(folder: string): void {
  const doc = 'usr/share/doc/towpath';
  writeInto(folder, `${doc}/copyright`, licences());
  writeCompressed(folder, `${doc}/changelog.gz`, 'CHANGELOG.md');
  for (const page of readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))) {
    copyInto(folder, `${doc}/${page}`, `docs/${page}`);
  }
  writeCompressed(folder, 'usr/share/man/man1/towpath.1.gz', 'deploy/man/towpath.1');
}

function writeCompressed(folder: string, name: string, source: string): void {
  writeInto(folder, name, '');
  const bytes = gzipSync(readFileSync(path.join(ROOT, source)), { level: 9 });
  // Byte 9 of a gzip file names the operating system that made it.
  bytes[9] = 3;
  writeFileSync(path.join(folder, name), bytes);
}

function addControl(folder: string, architecture: Architecture): void {
  const kilobytes = Math.ceil(statSync(path.join(folder, 'usr/bin/towpath')).size / 1024) + 1024;
  const control = `Package: towpath
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kilobytes}
Depends: libc6 (>= 2.27), passwd, procps
Section: net
Priority: optional
Description: DERP relay server for Tailscale and Headscale networks
 A relay for nodes that cannot reach each other directly: DERP over TLS and
 WebSocket, STUN, and the UDP peer relay. The executable contains its runtime.
`;
  writeInto(folder, 'DEBIAN/control', control);
  writeInto(folder, 'DEBIAN/conffiles', CONFIGURATION.map((name) => `/etc/towpath/${name}\n`).join(''));
  for (const script of ['postinst', 'prerm', 'postrm']) {
    writeInto(folder, `DEBIAN/${script}`, readFileSync(path.join(ROOT, 'deploy/deb', script), 'utf8'), 0o755);
  }
}

const wanted = process.argv.slice(2);
for (const architecture of ARCHITECTURES.filter((name) => wanted.length === 0 || wanted.includes(name))) {
  const file = buildDeb(architecture);
  console.log(`${path.relative(ROOT, file)}: ${Math.round(statSync(file).size / 1e6)} MB`);
}
