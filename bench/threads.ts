/**
 * Measures what a second relay thread costs, as processor time per packet: `node bench/threads.ts [node|bun] [ROUNDS]`. Each round
 * starts a relay with one thread and one with two, in turn, and sends the same packets between the same number of pairs:
 * both ends of each pair in the main thread, pairs in both threads, and pairs with one end in each. The clients are in this
 * process, so rates mean nothing; compare only figures of one round.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Clock } from '../src/base/clock.ts';
import { findRuntime } from '../src/cli/runtime.ts';
import { connectDerp } from '../src/client/connect.ts';
import type { DerpClient } from '../src/client/derp-client.ts';
import { transport } from '../src/transport/runtime.ts';

const PAIRS = 6;
const WARM_UP_PACKETS = 20_000;
const PACKETS = 100_000;
const PACKET = Buffer.alloc(1200, 7);
/** Packets of one pair that are under way. */
const WINDOW = 88;
/** The clock of processor time in /proc ticks 100 times a second. */
const CPU_TICK_US = 10_000;

type Pair = readonly [from: DerpClient, to: DerpClient];

/** One relay process, and its clients by thread. */
class Relay {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #metrics: string;
  readonly #clock: Clock;

  private constructor(child: ChildProcess, port: number, admin: number, clock: Clock) {
    this.#child = child;
    this.#url = `https://127.0.0.1:${port}/derp`;
    this.#metrics = `http://127.0.0.1:${admin}/metrics`;
    this.#clock = clock;
  }

  static async start(program: string, threads: number, folder: string, clock: Clock): Promise<Relay> {
    const flags = {
      ...{ '--listen': '127.0.0.1:0', '--admin': '127.0.0.1:0', '--http': 'off', '--stun': 'off' },
      ...{ '--key-file': path.join(folder, 'key'), '--certificate-directory': path.join(folder, 'certs') },
      ...{ '--hostname': '127.0.0.1', '--threads': String(threads), '--log-format': 'json' },
    };
    const main = path.join(import.meta.dirname, '..', 'src', 'main.ts');
    const child = spawn(program, [main, 'serve', ...Object.entries(flags).flat()], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TOWPATH_LIMITS_QUEUE_BYTES: '8388608' },
    });
    child.stdout.resume();
    const started = await new Promise<string>((resolve, reject) => {
      child.once('exit', () => reject(new Error('the relay does not start')));
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (line.includes('"derp":[')) resolve(line);
      });
    });
    const portOf = (name: string): number =>
      Number(new RegExp(`"${name}":\\[?\\{[^}]*"port":(\\d+)`).exec(started)?.[1]);
    return new Relay(child, portOf('derp'), portOf('admin'), clock);
  }

  /** Connects `each` clients in each thread. The kernel chooses the thread, so some clients are closed again. */
  async clients(threads: number, each: number): Promise<DerpClient[][]> {
    const groups = Array.from({ length: threads }, (): DerpClient[] => []);
    while (groups.some(({ length }) => length < each)) {
      const before = await this.#mainConnections();
      const client = await connectDerp({
        ...{ transport, clock: this.#clock, url: this.#url, verify: { kind: 'none' }, queueBytes: 4 << 20 },
      });
      const isMain = threads === 1 || (await this.#mainConnections()) > before;
      const group = groups[isMain ? 0 : 1]!;
      if (group.length < each) group.push(client);
      else client.abort();
    }
    return groups;
  }

  /** Sends packets, and returns the processor time for each, in microseconds. */
  async cpuPerPacket(pairs: readonly Pair[], packets: number): Promise<number> {
    const before = this.#cpuUs();
    await Promise.all(pairs.map((pair) => move(pair, Math.ceil(packets / pairs.length))));
    return (this.#cpuUs() - before) / (Math.ceil(packets / pairs.length) * pairs.length);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #mainConnections(): Promise<number> {
    const text = await (await fetch(this.#metrics)).text();
    return Number(/towpath_relay_thread_connections\{thread="0"\} (\d+)/.exec(text)?.[1] ?? 0);
  }

  #cpuUs(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * CPU_TICK_US;
  }
}

/** Sends `count` packets with at most {@link WINDOW} under way; resolves when all have arrived. */
function move([from, to]: Pair, count: number): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    let received = 0;
    const fill = (): void => {
      while (sent < count && sent - received < WINDOW && from.send(to.publicKey, PACKET)) sent++;
    };
    to.handler = {
      packet: () => {
        received++;
        if (received % (WINDOW / 4) === 0) fill();
        if (received === count) resolve();
      },
    };
    from.handler = { drained: fill };
    fill();
  });
}

/** Processor time per packet in microseconds: within the main thread, within both threads, and across. With one thread, only the first. */
async function measure(relay: Relay, threads: number): Promise<number[]> {
  const [main, other] = (await relay.clients(threads, PAIRS * 2)) as [DerpClient[], DerpClient[] | undefined];
  const pair = (from: DerpClient[], to: DerpClient[], i: number): Pair => [from[i]!, to[PAIRS + i]!];
  const indices = Array.from({ length: PAIRS }, (_, i) => i);
  const loads = [indices.map((i) => pair(main, main, i))];
  if (other !== undefined) {
    loads.push(
      indices.map((i) => (i % 2 === 0 ? pair(main, main, i) : pair(other, other, i))),
      indices.map((i) => (i % 2 === 0 ? pair(main, other, i) : pair(other, main, i))),
    );
  }
  const results: number[] = [];
  for (const pairs of loads) {
    await relay.cpuPerPacket(pairs, WARM_UP_PACKETS);
    results.push(await relay.cpuPerPacket(pairs, PACKETS));
  }
  return results;
}

const runtime = process.argv[2] === 'bun' ? 'bun' : 'node';
const rounds = Number(process.argv[3] ?? 5);
const program = runtime === 'bun' ? findRuntime('bun') : process.execPath;
const clock = new Clock();
clock.start();
console.log(`${runtime}: processor time per packet, ${PAIRS} pairs, ${PACKET.length} bytes`);
const ratios: number[][] = [];
for (let round = 0; round < rounds; round++) {
  const figures: number[] = [];
  for (const threads of [1, 2]) {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-bench-threads-'));
    const relay = await Relay.start(program, threads, folder, clock);
    try {
      figures.push(...(await measure(relay, threads)));
    } finally {
      relay.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const [one, main, both, across] = figures as [number, number, number, number];
  ratios.push([main / one, both / one, across / main, (2 * one) / both]);
  console.log(
    `one thread ${one.toFixed(2)} µs; of two: main ${main.toFixed(2)}, both ${both.toFixed(2)}, across ${across.toFixed(2)}`,
  );
}
const names = ['threads: same thread ÷ one thread', 'pairs in both ÷ one thread', 'across ÷ same thread', 'ceiling'];
for (const [i, name] of names.entries()) {
  const all = ratios.map((row) => row[i]!).sort((a, b) => a - b);
  console.log(`${name}: ${all[all.length >> 1]!.toFixed(2)} [${all[0]!.toFixed(2)}–${all.at(-1)!.toFixed(2)}]`);
}
process.exit(0);
