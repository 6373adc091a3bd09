/**
 * A stock Headscale, two stock tailscaled without a direct path, and towpath as their DERP relay and peer relay (peer relay
 * §19.13). Prints their messages, and `passed` or the failure. With `--idle SECONDS` it only waits for that time, and sends
 * the next packet.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Download } from './download.ts';
import { Headscale } from './headscale.ts';
import { HUB_IP, Network } from './network.ts';
import { until } from './program.ts';
import { TailscaleNode } from './tailscale-node.ts';
import { PORTS, Towpath } from './towpath.ts';

const DOWNLOAD_BYTES = Number(process.env['PEER_RELAY_BYTES'] ?? 200_000_000);
const { values: options } = parseArgs({ options: { idle: { type: 'string' } } });
const idleSeconds = options.idle === undefined ? null : Number(options.idle);
if (idleSeconds !== null && !(idleSeconds > 0)) throw new Error('--idle needs a number of seconds');
/** A client repeats a failed first attempt after 30 s, and checks a path in use every 60 s. */
const PATIENCE_MS = 100_000;

const { HEADSCALE: headscaleProgram, TAILSCALE_PROGRAMS: programs } = process.env;
if (headscaleProgram === undefined || programs === undefined)
  throw new Error('HEADSCALE and TAILSCALE_PROGRAMS are not set; use test/interop/peer-relay/run.sh');

const startedAt = performance.now();
const folder = mkdtempSync('/tmp/pr-');
const network = new Network();
const ends: (() => unknown)[] = [() => network.remove()];
const relays: Towpath[] = [];

function say(text: string): void {
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}

/** Pings until the answer comes through the peer relay at one of `ports`; prints each new kind of answer. */
async function pingUntilRelayed(a: TailscaleNode, b: TailscaleNode, ports: readonly number[]): Promise<number> {
  const pattern = new RegExp(`via peer-relay\\(${HUB_IP}:(?:${ports.join('|')}):vni:\\d+\\)`);
  const ip = b.ip;
  let last = '';
  return until(
    () => `a pong via ${String(pattern)}; the last was: ${last}`,
    () => {
      const line = a.ping(ip);
      const kind = line.replace(/ in \S+$/, '');
      if (kind !== last) say(`tailscale ping: ${line === '' ? '(no pong)' : line}`);
      last = kind;
      return pattern.test(line);
    },
    PATIENCE_MS,
  );
}

async function restartDuringDownload(towpath: Towpath, a: TailscaleNode, b: TailscaleNode): Promise<void> {
  const download = await Download.start(network, b, a, DOWNLOAD_BYTES);
  await until('a quarter of the download', () => download.received > DOWNLOAD_BYTES / 4, 300_000);
  await towpath.stop();
  say(`the relay is stopped after ${Math.round(download.received / 1e6)} MB`);
  say(`the relay is ready again after ${Math.round(await towpath.start())} ms`);
  const { seconds } = await download.finish(DOWNLOAD_BYTES);
  say(
    `downloaded ${DOWNLOAD_BYTES / 1e6} MB intact in ${seconds.toFixed(1)} s, ${((DOWNLOAD_BYTES * 8) / 1e6 / seconds).toFixed(0)} Mbit/s with the restart`,
  );
  say(`path in use: ${a.pathTo(b.ip)}`);
}

async function throughEachPort(a: TailscaleNode, b: TailscaleNode): Promise<void> {
  for (const port of PORTS) {
    const others = PORTS.filter((other) => other !== port).join(', ');
    for (const { place } of [a, b]) network.filter(place, 'ports', `udp dport { ${others} } drop`);
    const ms = await pingUntilRelayed(a, b, [port]);
    say(`with UDP ${others} blocked: through ${port} after ${(ms / 1000).toFixed(1)} s`);
    for (const { place } of [a, b]) network.unfilter(place, 'ports');
  }
}

async function idle(a: TailscaleNode, b: TailscaleNode, seconds: number): Promise<void> {
  const before = a.pathTo(b.ip);
  say(`${seconds} s without traffic begin; the path is ${before}`);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const download = await Download.start(network, b, a, 1000);
  await until('the first bytes after the silence', () => download.received > 0, 10_000);
  const { seconds: took } = await download.finish(1000);
  const after = a.pathTo(b.ip);
  say(`after ${seconds} s without traffic: 1,000 bytes in ${took.toFixed(1)} s; the path is ${after}`);
  say(`tailscale ping: ${a.ping(b.ip)}`);
  // The same endpoint, perhaps at another port of the relay.
  const [vni] = /vni:\d+/.exec(before) ?? [];
  if (vni === undefined || !after.endsWith(vni))
    throw new Error(`the path was ${before}, and is ${after} after the silence`);
}

async function run(): Promise<void> {
  const headscale = await Headscale.start(network, headscaleProgram!, folder);
  ends.push(() => headscale.program.stop());
  const towpath = new Towpath(network, folder, headscale.relayKey());
  relays.push(towpath);
  ends.push(() => towpath.stop());
  say(`towpath is ready after ${Math.round(await towpath.start())} ms`);
  const key = headscale.clientKey();
  const [a, b] = (['a', 'b'] as const).map((place) => {
    const node = new TailscaleNode(network, place, programs!, folder);
    ends.push(() => node.program.stop());
    return node;
  }) as [TailscaleNode, TailscaleNode];
  for (const node of [a, b]) {
    await until(`tailscaled ${node.place} answers`, () => node.cli('version').length > 0);
    node.up(key);
  }
  say(`first pong through the peer relay after ${((await pingUntilRelayed(a, b, PORTS)) / 1000).toFixed(1)} s`);
  say(`path in use: ${a.pathTo(b.ip)}`);
  if (idleSeconds !== null) {
    await idle(a, b, idleSeconds);
    return;
  }
  say(towpath.run('relay', 'status').trim());
  await restartDuringDownload(towpath, a, b);
  await pingUntilRelayed(a, b, PORTS);
  await throughEachPort(a, b);
}

try {
  await run();
  say('passed');
} catch (error) {
  for (const { program } of relays)
    console.log(`--- towpath
${program?.output.slice(-6000) ?? '(stopped)'}`);
  console.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
} finally {
  for (const end of ends.reverse()) {
    try {
      await end();
    } catch (error) {
      console.log(String(error));
      process.exitCode = 1;
    }
  }
  if (process.exitCode === 1) console.log(`left for you: ${path.resolve(folder)}`);
  else rmSync(folder, { recursive: true, force: true });
}
