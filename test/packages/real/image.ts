import assert from 'node:assert/strict';
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, VERSION } from '../../../scripts/packages/executable.ts';
import { CONTROL_URL } from '../../interop/peer-relay/headscale.ts';
import { HUB_IP } from '../../interop/peer-relay/network.ts';
import { run } from '../command.ts';
import { configureBundle, Container, copyImage, TOWPATH, unpackImage, USER_ID } from '../container.ts';
import { debianArchitecture } from '../debian-packages.ts';
import { NEXT_VERSION } from '../next-deb.ts';
import type { Surroundings } from './surroundings.ts';

const NAME = 'towpath';
/** Longest silence in milliseconds: one container ends before the next one starts. With a large reserve for a busy machine. */
const MOST_GAP_MS = 30_000;
const ENVIRONMENT = [
  `TOWPATH_HOSTNAME=${HUB_IP}`,
  `TOWPATH_ADMISSION_SOURCES=[{"kind":"headscale","url":"${CONTROL_URL}"}]`,
];
const VERSION_LABEL = 'org.opencontainers.image.version';

/** Builds the image, runs it with admission by Headscale, replaces the container by one of the next version, and removes it. */
export async function useImage(surroundings: Surroundings): Promise<void> {
  const { network, folder, transcript } = surroundings;
  transcript.say('== The container image, with the network of the host');
  transcript.command('# npm run build:image', run('npm', ['run', '--silent', 'build:image']));
  const state = path.join(folder, 'state');
  mkdirSync(state, { mode: 0o700 });
  chownSync(state, USER_ID, USER_ID);
  const [first, next] = unpackBoth(folder, state);
  transcript.say(
    '# skopeo copy, umoci unpack; config.json as with: docker run --read-only --cap-drop ALL --network host',
  );
  for (const variable of ENVIRONMENT) transcript.say(`    --env '${variable}'`);
  // Container engines set this for each container with its own network.
  network.run('hub', 'sysctl', '-qw', 'net.ipv4.ip_unprivileged_port_start=0');
  const place = { folder, inside: (argv: readonly string[]): string[] => network.inside('hub', argv) };

  let container = await Container.start(place, first, NAME);
  surroundings.atEnd(() => container.remove());
  try {
    transcript.command(`# crun run --bundle ${path.basename(first)} ${NAME}; towpath healthcheck`, health(container));
    checkProcess(surroundings, container);
    await surroundings.talk(`# crun exec ${NAME} ${TOWPATH}`, (argv) => container.runAnyway(TOWPATH, ...argv));
    const keyFile = path.join(state, 'derper.key');
    const key = readFileSync(keyFile, 'utf8');
    await surroundings.replace(MOST_GAP_MS, async () => {
      assert.equal(await container.stop(), 0);
      container.remove();
      transcript.say(`# crun kill ${NAME} TERM; crun delete ${NAME}`);
      container = await Container.start(place, next, NAME);
      transcript.command(`# crun run --bundle ${path.basename(next)} ${NAME}; towpath healthcheck`, health(container));
    });
    const version = versionOf(container);
    assert.equal(version, NEXT_VERSION);
    transcript.command(`# crun state ${NAME} (the label ${VERSION_LABEL})`, version);
    await surroundings.ping();

    assert.equal(await container.stop(), 0);
    container.remove();
    transcript.command(
      `# crun kill ${NAME} TERM; crun delete ${NAME}; crun list --quiet`,
      container.crun('list', '-q'),
    );
    assert.equal(container.crun('list', '-q').trim(), '', 'the container is gone');
    assert.equal(network.run('hub', 'ss', '-Hltn', 'sport = :443'), '', 'its port is free');
    assert.equal(readFileSync(keyFile, 'utf8'), key, 'the key stays in the volume');
    transcript.command('# ls VOLUME', run('ls', [state]));
  } catch (error) {
    console.log(container.output);
    throw error;
  }
}

/** Unpacks the image of this machine, and a copy with a higher version, to two bundles. */
function unpackBoth(folder: string, state: string): [string, string] {
  const layout = path.join(folder, 'layout');
  copyImage(path.join(ROOT, 'build', `towpath-${VERSION}-oci.tar`), debianArchitecture(), layout);
  const label = ['--config.label', `${VERSION_LABEL}=${NEXT_VERSION}`];
  run('umoci', ['config', '--image', `${layout}:image`, '--tag', 'next', ...label]);
  const unpack = (tag: string): string => {
    const bundle = path.join(folder, `bundle-${tag}`);
    unpackImage(layout, tag, bundle);
    configureBundle(bundle, state, ENVIRONMENT);
    return bundle;
  };
  return [unpack('image'), unpack('next')];
}

/** Checks that the relay runs as a user without rights, on a read-only root directory. */
function checkProcess({ transcript }: Surroundings, container: Container): void {
  const process = `/proc/${container.pid}`;
  const rights = run('grep', ['-E', '^(Uid|CapEff|CapBnd|NoNewPrivs):', `${process}/status`]);
  assert.match(rights, new RegExp(`^Uid:\\s+${USER_ID}\\s`, 'm'));
  assert.match(rights, /^CapEff:\s+0+$/m);
  assert.match(rights, /^CapBnd:\s+0+$/m);
  assert.match(rights, /^NoNewPrivs:\s+1$/m);
  const root = run('grep', ['-E', ' / ', `${process}/mounts`]);
  assert.match(root, / \/ \S+ ro[,\s]/);
  transcript.command('# grep of its status and mounts in /proc', `${rights}${root}`);
}

function health(container: Container): string {
  return container.run(TOWPATH, 'healthcheck');
}

function versionOf(container: Container): string {
  const state = JSON.parse(container.crun('state', NAME)) as { annotations: Readonly<Record<string, string>> };
  return state.annotations[VERSION_LABEL]!;
}
