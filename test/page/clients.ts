/** Clients of a relay, in a process of their own: `clients.ts URL COUNT`. Writes `ready` when all are connected; ends when its standard input ends. */
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { Clock } from '../../src/base/clock.ts';
import { transport } from '../../src/transport/runtime.ts';

const AT_ONCE = 32;
const [url = '', countText = ''] = process.argv.slice(2);
const count = Number(countText);
const clock = new Clock();
clock.start();
const clients: DerpClient[] = [];
let next = 0;

async function connectNext(): Promise<void> {
  while (next < count) {
    const place = next++;
    clients[place] = await connectDerp({ transport, clock, url, verify: { kind: 'none' }, timeoutMs: 60_000 });
  }
}

await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, connectNext));
// Some clients send all the time, the first ones most.
setInterval(() => {
  for (let i = 0; i < Math.min(20, count - 1); i++) {
    const packets = 1 + Math.floor(40 / (i + 1));
    for (let n = 0; n < packets; n++) clients[i]!.send(clients[i + 1]!.publicKey, Buffer.alloc(1000));
  }
}, 100);
console.log('ready');
process.stdin.on('end', () => process.exit(0)).resume();
