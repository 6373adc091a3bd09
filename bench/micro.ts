/**
 * Micro-benchmarks of the parts that work per packet or per connection: nanoseconds per operation on this machine. With
 * `--keep` the figures are written to bench/results, and `npm run bench:report` shows them.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { ByteBucket } from '../src/relay/fairness/byte-bucket.ts';
import { openBox, sealBox, sharedBoxKey } from '../src/wire/box.ts';
import { generateNodeKeyPair } from '../src/wire/keys.ts';
import {
  encodeBindingRequest,
  isTailnodeRequest,
  MAX_STUN_RESPONSE_BYTES,
  STUN_TRANSACTION_ID_BYTES,
  writeBindingResponse,
} from '../src/wire/stun.ts';
import { benchDataPath } from './micro/data-path.ts';
import { benchThreads } from './micro/threads.ts';
import { measure, measured, sink } from './micro/harness.ts';
import { describeMachine, machineSlug } from './relay/machine.ts';
import type { MicroResults } from './relay/page.ts';
import { RESULTS_FOLDER } from './relay/results.ts';
import { parseIp } from '../src/base/ip-address.ts';

console.log(`node ${process.version}, median [lowest–highest] of 15 samples\n`);
benchDataPath();
benchThreads();
benchTokenBucket();
benchBox();
benchStun();
if (process.argv.includes('--keep')) keep();

function keep(): void {
  const machine = describeMachine([]);
  const { node, towpath } = machine.versions;
  const title = `${machine.date.slice(0, 16).replace('T', ' ')} UTC, node ${node}, towpath ${towpath}; median [lowest–highest] of 15 samples.`;
  const results: MicroResults = { title, rows: measured };
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const file = `${RESULTS_FOLDER}/${machine.date.slice(0, 10)}-${machineSlug(machine)}-micro.json`;
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
  console.log(`\nkept as ${file}`);
}

function benchTokenBucket(): void {
  const bucket = new ByteBucket({ bytesPerSecond: 1e12, burstBytes: 1e9 }, 0);
  let at = 0;
  measure('TokenBucket.take', (times) => {
    for (let i = 0; i < times; i++) sink.value = bucket.take(1232, (at += 0.001));
  });
}

function benchBox(): void {
  const server = generateNodeKeyPair();
  const client = generateNodeKeyPair();
  const info = Buffer.from('{"version":2,"CanAckPings":true}');
  const shared = sharedBoxKey(client.privateKey, server.publicKey);
  const sealed = sealBox(shared, info);
  measure('sealed box: shared key (X25519, HSalsa20)', (times) => {
    for (let i = 0; i < times; i++) sink.value = sharedBoxKey(server.privateKey, client.publicKey);
  });
  measure('sealed box: open ClientInfo', (times) => {
    for (let i = 0; i < times; i++) sink.value = openBox(shared, sealed);
  });
  measure('sealed box: seal ServerInfo', (times) => {
    for (let i = 0; i < times; i++) sink.value = sealBox(shared, info.subarray(0, 13));
  });
}

function benchStun(): void {
  const request = encodeBindingRequest(randomBytes(STUN_TRANSACTION_ID_BYTES));
  const out = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  for (const ip of ['192.0.2.1', '2001:db8::1']) {
    const address = parseIp(ip)!;
    measure(`STUN: check a request and write the answer, ${ip}`, (times) => {
      for (let i = 0; i < times; i++) {
        if (isTailnodeRequest(request, 0, request.length))
          sink.value = writeBindingResponse(out, request, 0, address, address.length, 41_641);
      }
    });
  }
}
