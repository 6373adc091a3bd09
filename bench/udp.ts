/**
 * Compares the peer relay with that of a stock tailscaled, in network namespaces, on both runtimes: `npm run bench:udp`. Each
 * round gives each contender a tailnet of its own with two real tailscaled, and prints and keeps what it measured. Needs
 * root, Node 26, two CPUs, and the programs that `test/interop/peer-relay/run.sh` builds.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeMachine, formatMachine, machineSlug } from './relay/machine.ts';
import { ServerName } from './relay/server.ts';
import { RESULTS_FOLDER } from './relay/results.ts';
import { loadSystemCalls } from '../src/system/runtime.ts';
import { CONTENDERS } from './udp/contender.ts';
import { readUdpOptions } from './udp/options.ts';
import { udpReport } from './udp/report.ts';
import { runContender, type UdpRun } from './udp/rows.ts';

const options = readUdpOptions(process.argv.slice(2));
const { unavailable } = await loadSystemCalls();
if (unavailable !== null) throw new Error(`the generator needs Node 26: ${unavailable}`);
const { HEADSCALE: headscale, TAILSCALE_PROGRAMS: tailscale } = process.env;
if (headscale === undefined || tailscale === undefined)
  throw new Error('HEADSCALE and TAILSCALE_PROGRAMS are not set: start it with npm run bench:udp');
const machine = describeMachine([ServerName.Bun]);
console.log(formatMachine(machine));
const file = options.out ?? path.join(RESULTS_FOLDER, `${machine.date.slice(0, 10)}-${machineSlug(machine)}-udp.json`);
const runs: UdpRun[] = [];
for (let round = 0; round < options.rounds; round++) {
  // Another order in each round.
  const order = CONTENDERS.filter((name) => options.contenders.includes(name));
  for (let i = 0; i < order.length; i++) {
    const name = order[(i + round) % order.length]!;
    runs.push(await runContender({ name, round, options, programs: { headscale, tailscale } }));
    writeFileSync(file, `${JSON.stringify({ format: 'towpath-bench-udp-1', machine, options, runs }, null, 1)}\n`);
  }
}
console.log(udpReport(runs));
console.log(`kept in ${file}`);
process.exitCode = runs.some(({ problems }) => problems.length > 0) ? 1 : 0;
process.exit();
