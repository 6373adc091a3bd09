/**
 * What a forwarded datagram costs the UDP door, on both runtimes: `node bench/udp.ts [--seconds 5] [--rounds 3]`, with
 * Node 26. The relay has one core and the generator another; each byte that arrives is compared.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { loadSystemCalls } from '../src/system/runtime.ts';
import { findRuntime } from '../src/cli/runtime.ts';
import { UdpGenerator, type UdpLoad } from './udp/generator.ts';

const CASES: Readonly<Record<string, UdpLoad>> = {
  'single datagrams': { flows: 10, burst: 1, window: 32, datagramBytes: 1280 },
  'bursts of 16': { flows: 10, burst: 16, window: 4, datagramBytes: 1280 },
};
const WARM_UP_MS = 1000;
const NS_PER_US = 1000;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '3' } },
});
const relayProgram = path.join(import.meta.dirname, 'udp', 'relay.ts');
const runtimes: Readonly<Record<string, string>> = { 'node 26': process.execPath, bun: findRuntime('bun') };

/** CPU time of all threads of a process, in nanoseconds. */
function cpuNs(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return total;
}

async function startRelay(command: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn('taskset', ['-c', '0', command, relayProgram], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, port: (JSON.parse(line) as { port: number }).port };
}

const calls = await loadSystemCalls();
if (calls.unavailable !== null) throw new Error(calls.unavailable);
const results = new Map<string, number[]>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [runtime, command] of Object.entries(runtimes)) {
    for (const [name, load] of Object.entries(CASES)) {
      const { child, port } = await startRelay(command);
      const generator = new UdpGenerator(calls, load, port);
      generator.run(WARM_UP_MS);
      const [packets, cpu] = [generator.received, cpuNs(child.pid!)];
      const { lost } = generator;
      generator.run(Number(values.seconds) * 1000);
      const count = generator.received - packets;
      const cost = (cpuNs(child.pid!) - cpu) / NS_PER_US / count;
      const rate = Math.round(count / Number(values.seconds) / 1000);
      console.log(
        `${runtime}, ${name}: ${cost.toFixed(2)} µs CPU per packet, ${rate} thousand/s, ${generator.lost - lost} lost, ${generator.wrong} wrong`,
      );
      if (generator.wrong > 0) process.exitCode = 1;
      generator.close();
      child.stdin!.end();
      await once(child, 'close');
      results.set(`${runtime}, ${name}`, [...(results.get(`${runtime}, ${name}`) ?? []), cost]);
    }
  }
}
for (const [name, costs] of results) {
  const sorted = costs.sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  console.log(`${name}: median ${median.toFixed(2)} µs, ${sorted[0]!.toFixed(2)}–${sorted.at(-1)!.toFixed(2)}`);
}
