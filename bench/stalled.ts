/**
 * Measures how many bytes the kernel holds for one client that does not read, with the settings of this machine:
 * `node bench/stalled.ts`. The relay runs in this process; the figure is the size of the send queue of its socket, which
 * `tcp_notsent_lowat` limits. Linux only. Exit code 1 when the client was not disconnected within the deadline.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { connectDerp } from '../src/client/connect.ts';
import { Clock } from '../src/base/clock.ts';
import { loadConfig } from '../src/config/load.ts';
import { Service } from '../src/service/service.ts';
import { transport } from '../src/transport/runtime.ts';

const PACKET = Buffer.alloc(1200, 7);
const PACKETS_PER_STEP = 20;
const STEP_MS = 5;
const DEADLINE_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'towpath-stalled-'));
const { config } = loadConfig({
  env: {
    TOWPATH_LISTEN: '127.0.0.1:0',
    TOWPATH_HTTP: 'off',
    TOWPATH_STUN: 'off',
    TOWPATH_ADMIN: 'off',
    TOWPATH_HOSTNAME: '127.0.0.1',
    TOWPATH_ADMISSION_OPEN: 'true',
    TOWPATH_KEY_FILE: join(folder, 'derper.key'),
    TOWPATH_CERTIFICATE_DIRECTORY: join(folder, 'certificates'),
  },
});
const relay = new Service(config, transport, pino({ level: 'silent' }));
await relay.start();
const clock = new Clock();
clock.start();
const { port } = relay.addresses.derp[0]!;
const verify = { kind: 'pin', sha256: relay.certificate.info().pinSha256 } as const;
const url = `https://127.0.0.1:${port}/derp`;
const [sender, receiver] = await Promise.all([1, 2].map(() => connectDerp({ transport, clock, url, verify })));
receiver!.pause();

let mostKiB = 0;
let sentKiB = 0;
const startedAt = performance.now();
const feed = setInterval(() => {
  for (let i = 0; i < PACKETS_PER_STEP; i++)
    if (sender!.send(receiver!.publicKey, PACKET)) sentKiB += PACKET.length / 1024;
  mostKiB = Math.max(mostKiB, largestSendQueue(port) / 1024);
  const isCut = relay.counters.writeTimeouts > 0;
  if (isCut || performance.now() - startedAt > DEADLINE_MS) void finish(isCut);
}, STEP_MS);

async function finish(isCut: boolean): Promise<void> {
  clearInterval(feed);
  const lowat = readFileSync('/proc/sys/net/ipv4/tcp_notsent_lowat', 'utf8').trim();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(
    `${transport.runtime}, tcp_notsent_lowat ${lowat}: the kernel held ${mostKiB.toFixed(0)} KiB of ${sentKiB.toFixed(0)} KiB`,
  );
  console.log(isCut ? `cut off after ${seconds} s of not reading` : `NOT cut off within ${seconds} s`);
  process.exitCode = isCut ? 0 : 1;
  sender!.abort();
  receiver!.abort();
  await relay.close();
  clock.stop();
  rmSync(folder, { recursive: true });
}

/** Returns the bytes in the largest send queue of the connections of a local TCP port. */
function largestSendQueue(localPort: number): number {
  const wanted = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const queues = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((table) => readFileSync(table, 'utf8').split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(wanted) === true)
    .map((fields) => parseInt(fields[4]!.split(':')[0]!, 16));
  return Math.max(0, ...queues);
}
