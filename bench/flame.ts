/** Makes a flame graph, for speedscope, of a relay under closed-loop load; started by flame.sh as NAME CHECKOUT [--naive]. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callTree, heaviest, sharesByOwner, type CpuProfile } from './flame/profile.ts';
import { sampleShares } from './flame/shares.ts';
import { speedscopeFile } from './flame/speedscope.ts';
import { makeFiles, runGenerator, type LoadResult } from './relay/programs.ts';
import { RESULTS_FOLDER } from './relay/results.ts';
import { Server, ServerName } from './relay/server.ts';

const WARM_SECONDS = 3;
const PROFILED_SECONDS = 4;
const PERF_SECONDS = 3;
const WRITE_PATIENCE_MS = 20_000;
const NAMED_FUNCTIONS = 12;

const [name = '', checkout = '', variant] = process.argv.slice(2);
const naive = variant === '--naive';
const dir = mkdtempSync(join(tmpdir(), 'flame-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
try {
  await flame();
} catch (error) {
  console.error(`bench:flame: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function flame(): Promise<void> {
  const profile = join(dir, 'relay.cpuprofile');
  const server = await Server.start(ServerName.Node, await makeFiles(dir), {
    ...{ pinned: true, loopDelay: false, checkout, profile, naive },
  });
  const load = runGenerator<LoadResult>(
    ...['load', '-address', server.address, '-pid', String(server.pid), '-mode', 'closed', '-warm', `${WARM_SECONDS}s`],
    ...['-windows', '1', '-window-time', `${PROFILED_SECONDS + PERF_SECONDS + 1}s`],
  );
  await sleep(WARM_SECONDS * 1000);
  process.kill(server.pid, 'SIGUSR2');
  await sleep(PROFILED_SECONDS * 1000);
  process.kill(server.pid, 'SIGUSR2');
  const deadline = performance.now() + WRITE_PATIENCE_MS;
  while (!existsSync(profile)) {
    if (performance.now() > deadline) throw new Error('the relay wrote no profile');
    await sleep(50);
  }
  // In turn: each would show the cost of the other.
  const perf = await sampleShares(server.pid, PERF_SECONDS, dir);
  const result = await load;
  await server.stop();
  keep(JSON.parse(readFileSync(profile, 'utf8')) as CpuProfile, perf, result);
}

function keep(profile: CpuProfile, perf: Awaited<ReturnType<typeof sampleShares>>, load: LoadResult): void {
  const commit = execFileSync('git', ['-C', checkout, 'describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  const root = callTree(profile, checkout);
  const shares = sharesByOwner(root);
  const window = load.windows?.[0];
  const cpuUs = window === undefined ? null : (window.serverSeconds / window.delivered) * 1e6;
  const title = `${name}: towpath ${commit}${naive ? ' made naive' : ''}, node ${process.version}, closed loop of 1200-byte packets, 10 pairs`;
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const file = join(RESULTS_FOLDER, `flame-${name}.speedscope.json`);
  writeFileSync(file, `${JSON.stringify(speedscopeFile(root, title))}\n`);
  const kept = {
    title,
    commit,
    cpuUs,
    shares: Object.fromEntries(shares),
    heaviest: heaviest(root, NAMED_FUNCTIONS),
    perf,
  };
  writeFileSync(join(RESULTS_FOLDER, `flame-${name}.json`), `${JSON.stringify(kept, null, 1)}\n`);
  console.log(`${title}: ${cpuUs?.toFixed(2) ?? '?'} µs of CPU per packet, measuring included\n`);
  for (const [owner, share] of shares) console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${owner}`);
  console.log('\nself time:');
  for (const [frame, share] of heaviest(root, NAMED_FUNCTIONS))
    console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${frame}`);
  if (perf === null) console.log('\nperf: not installed, or not allowed');
  else
    console.log(
      `\nperf: ${Object.entries(perf)
        .map(([kind, share]) => `${kind} ${(share * 100).toFixed(1)} %`)
        .join(', ')}`,
    );
  console.log(`\nkept as ${file}`);
}
