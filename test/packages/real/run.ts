/**
 * Does the work of an operator, from the build of a package to its removal, with two real tailscaled and a real Headscale:
 * `npm run test:transcript`, or with the names of the packages (`deb`, under a real systemd; `image`, run by
 * crun). Needs root, Debian, and the programs of `test/interop/peer-relay/run.sh`. Writes its commands and their output to
 * build/transcript.txt.
 */
import path from 'node:path';
import { ROOT } from '../../../scripts/packages/executable.ts';
import { installDebianPackages } from '../debian-packages.ts';
import { missingForSystemd } from './cgroup.ts';
import { useDeb } from './deb.ts';
import { useImage } from './image.ts';
import { Surroundings } from './surroundings.ts';
import { Transcript } from './transcript.ts';

const { HEADSCALE: headscale, TAILSCALE_PROGRAMS: tailscale } = process.env;
if (headscale === undefined || tailscale === undefined) {
  throw new Error('HEADSCALE and TAILSCALE_PROGRAMS are not set: start it with npm run test:transcript');
}

const PACKAGES = { deb: useDeb, image: useImage };
const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in PACKAGES));
if (unknown !== undefined) stop(`${unknown}: not one of ${Object.keys(PACKAGES).join(', ')}`);
const parts = Object.entries(PACKAGES).filter(([name]) => wanted.length === 0 || wanted.includes(name));
if (parts.some(([name]) => name === 'deb')) {
  const missing = await missingForSystemd();
  if (missing !== null) stop(missing);
}
installDebianPackages();

const transcript = new Transcript();
try {
  for (const [, use] of parts) await Surroundings.with(transcript, { headscale, tailscale }, use);
} finally {
  transcript.write(path.join(ROOT, 'build', 'transcript.txt'));
}
process.exit(0);

function stop(reason: string): never {
  console.error(`test:transcript: ${reason}`);
  process.exit(1);
}
