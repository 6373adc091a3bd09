/**
 * Builds the container image without a registry and without Docker: `npm run build:image` writes an OCI archive for both
 * architectures to build/. Its root directory has the executable, and of Debian's libc6 what it needs: no shell, no package
 * manager. The layout is that of the OCI image specification 1.1, which docker, podman and skopeo read.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { ARCHITECTURES, buildExecutable, ROOT, VERSION, type Architecture } from './executable.ts';
import { licences } from './licences.ts';
import { sourceDate, tarFolder, writeInto } from './reproducible.ts';

/** The user of distroless images. */
const USER_ID = '65532';
const STATE = 'var/lib/towpath';
const SUITE = 'bookworm';
/** The loader, the C library, and how it looks up names. */
const LIBRARIES = ['ld-linux-*', 'libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1'];
const LOOKUP = ['libresolv.so.2', 'libnss_dns.so.2', 'libnss_files.so.2'];
const SECOND = 1_000_000_000;
const build = path.join(ROOT, 'build', 'image');
const layout = path.join(build, 'layout');

/** Refers to another file of the layout. */
interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** The files of the operating system: `base` is a layer of its own, as it changes less often than the executable. */
function makeBase(folder: string, architecture: Architecture): void {
  const debian = `${folder}.debian`;
  mkdirSync(folder, { recursive: true });
  const include = ['--variant=extract', `--architectures=${architecture}`, '--include=libc6', '--quiet'];
  execFileSync('mmdebstrap', [...include, SUITE, debian], { stdio: ['ignore', 'ignore', 'inherit'] });
  const wanted = globSync(
    ['lib64/*', ...[...LIBRARIES, ...LOOKUP].flatMap((name) => [`lib/${name}`, `lib/*/${name}`])],
    { cwd: debian },
  );
  if (!wanted.some((name) => name.endsWith('libc.so.6'))) throw new Error(`no C library in ${debian}`);
  execFileSync('cp', ['-a', '--parents', ...wanted, 'usr/share/doc/libc6/copyright', folder], { cwd: debian });
  writeInto(folder, 'etc/passwd', `root:x:0:0:root:/:/none\ntowpath:x:${USER_ID}:${USER_ID}:towpath:/${STATE}:/none\n`);
  writeInto(folder, 'etc/group', `root:x:0:\ntowpath:x:${USER_ID}:\n`);
  writeInto(folder, 'etc/nsswitch.conf', 'hosts: files dns\n');
  writeInto(folder, 'usr/share/doc/towpath/copyright', licences());
  for (const name of ['etc/towpath', 'tmp', 'proc', 'sys', 'dev', 'run']) {
    mkdirSync(path.join(folder, name), { recursive: true });
  }
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', folder]);
  execFileSync('chmod', ['1777', path.join(folder, 'tmp')]);
  rmSync(debian, { recursive: true });
}

/** Packs a folder as a layer; `own` inside it belongs to the user of the image. */
function layerOf(folder: string, own?: string): { descriptor: Descriptor; diffId: string } {
  const tar = `${folder}.tar`;
  tarFolder(folder, tar);
  if (own !== undefined) appendOwned(folder, tar, own);
  const bytes = readFileSync(tar);
  rmSync(tar);
  const compressed = gzipSync(bytes, { level: 6 });
  return { descriptor: writeBlob('layer.v1.tar+gzip', compressed), diffId: `sha256:${sha256(bytes)}` };
}

/** A volume that Docker makes of this folder gets its owner and its mode. */
function appendOwned(folder: string, tar: string, own: string): void {
  const made = path.join(`${folder}.own`, own);
  mkdirSync(made, { recursive: true });
  execFileSync('chmod', ['700', made]);
  const ids = [`--owner=${USER_ID}`, `--group=${USER_ID}`, '--numeric-owner', `--mtime=@${sourceDate()}`];
  execFileSync('tar', ['-C', `${folder}.own`, ...ids, '--format=gnu', '-rf', tar, `./${own}`]);
}

function writeBlob(type: string, bytes: Buffer): Descriptor {
  const digest = sha256(bytes);
  writeInto(layout, `blobs/sha256/${digest}`, '');
  writeFileSync(path.join(layout, 'blobs/sha256', digest), bytes);
  return { mediaType: `application/vnd.oci.image.${type}`, digest: `sha256:${digest}`, size: bytes.length };
}

function writeJson(type: string, value: object): Descriptor {
  return writeBlob(type, Buffer.from(JSON.stringify(value)));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The manifest of one architecture. */
function manifestOf(architecture: Architecture): Descriptor & { readonly platform: object } {
  const base = path.join(build, architecture, 'base');
  const own = path.join(build, architecture, 'towpath');
  makeBase(base, architecture);
  mkdirSync(path.join(own, 'usr/bin'), { recursive: true });
  buildExecutable(path.join(own, 'usr/bin/towpath'), architecture);
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', own]);
  const layers = [layerOf(base, STATE), layerOf(own)];
  const config = writeJson('config.v1+json', {
    created: new Date(sourceDate() * 1000).toISOString(),
    architecture,
    os: 'linux',
    ...(architecture === 'arm64' ? { variant: 'v8' } : {}),
    config: {
      User: `${USER_ID}:${USER_ID}`,
      Entrypoint: ['/usr/bin/towpath'],
      Cmd: ['serve'],
      Env: ['PATH=/usr/bin'],
      WorkingDir: `/${STATE}`,
      Volumes: { [`/${STATE}`]: {} },
      ExposedPorts: { '443/tcp': {}, '80/tcp': {}, '3478/udp': {} },
      StopSignal: 'SIGTERM',
      // Docker's own field; Kubernetes has probes instead.
      Healthcheck: {
        Test: ['CMD', '/usr/bin/towpath', 'healthcheck'],
        Interval: 30 * SECOND,
        Timeout: 5 * SECOND,
        StartPeriod: 10 * SECOND,
      },
      Labels: {
        'org.opencontainers.image.title': 'towpath',
        'org.opencontainers.image.version': VERSION,
        'org.opencontainers.image.licenses': 'BSD-3-Clause',
      },
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: [{ created_by: `libc6 of Debian ${SUITE}` }, { created_by: `towpath ${VERSION}` }],
  });
  const manifest = writeJson('manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config,
    layers: layers.map(({ descriptor }) => descriptor),
  });
  const variant = architecture === 'arm64' ? { variant: 'v8' } : {};
  return { ...manifest, platform: { architecture, os: 'linux', ...variant } };
}

rmSync(build, { recursive: true, force: true });
const manifests = ARCHITECTURES.map(manifestOf);
const indexType = 'application/vnd.oci.image.index.v1+json';
const images = writeJson('index.v1+json', { schemaVersion: 2, mediaType: indexType, manifests });
const annotations = {
  'org.opencontainers.image.ref.name': VERSION,
  'io.containerd.image.name': `docker.io/library/towpath:${VERSION}`,
};
writeInto(layout, 'oci-layout', '{"imageLayoutVersion":"1.0.0"}');
const index = { schemaVersion: 2, mediaType: indexType, manifests: [{ ...images, annotations }] };
writeInto(layout, 'index.json', JSON.stringify(index));
const output = path.join(ROOT, 'build', `towpath-${VERSION}-oci.tar`);
tarFolder(layout, output, ['oci-layout', 'index.json', 'blobs']);
rmSync(build, { recursive: true });
console.log(`${path.relative(ROOT, output)}: ${Math.round(statSync(output).size / 1e6)} MB for both architectures`);
