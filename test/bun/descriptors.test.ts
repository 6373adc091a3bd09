import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';
import { eventually } from '../transport/support.ts';
import { BUN, needsBun } from './installed.ts';

const PEERS = 50;
/** The deadlines are 2 and 5 seconds. With `end()` instead of `shutdown()`, Bun 1.4.5 keeps the connection ten seconds longer. */
const FREED_MS = 9000;
/** Descriptors that the process may open in addition to connections, for example for a DNS lookup. */
const SLACK = 5;

/** Each kind makes the relay end the connection in another way. After that, the peers read nothing. */
const KINDS: Readonly<Record<string, string | null>> = {
  'that are refused with 400': 'this is no HTTP\r\n\r\n',
  'that asked for a page and for the end of the connection': 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  'that break the DERP handshake':
    'GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n\x09\x00\x00\x00\x01x',
  'that send garbage instead of TLS': null,
};

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-descriptors-'));
const behindProxy = path.join(folder, 'towpath.yaml');
writeFileSync(behindProxy, 'proxy: { protocol: true, trusted: [192.0.2.0/24] }\n');
after(() => rmSync(folder, { recursive: true }));

/** TLS by the listener, and TLS that begins after something was read: Bun ends these in different ways. */
const LISTENERS: Readonly<Record<string, readonly string[]>> = {
  'a relay on Bun': [],
  'a relay on Bun that expects proxies': ['--config', behindProxy],
};

for (const [relayName, args] of Object.entries(LISTENERS)) {
  describe(`${PEERS} peers that never answer a FIN, ${relayName}`, needsBun, () => {
    let relay: RelayProcess;
    before(async () => {
      relay = new RelayProcess([...FREE_PORTS, '--no-self-test', ...args], undefined, BUN!);
      await relay.port('DERP');
    });
    after(() => relay.clean());

    for (const [name, request] of Object.entries(KINDS)) {
      it(`${name}: every descriptor comes back`, async () => {
        const peers: Socket[] = [];
        try {
          const port = await relay.port('DERP');
          const descriptors = (): number => readdirSync(`/proc/${relay.child.pid}/fd`).length;
          const before = descriptors();
          for (let i = 0; i < PEERS; i++) {
            const peer = request === null ? await tcp(port) : await tls(port);
            // At once: on a busy machine the relay would end the first one, which is silent, before the last one is there.
            peer.pause();
            peer.write(request ?? Buffer.alloc(600, 0x41), 'latin1');
            peers.push(peer);
          }
          await eventually(
            () => descriptors() <= before + SLACK,
            `${before} descriptors again, now ${descriptors()}`,
            FREED_MS,
          );
          assert.ok(
            peers.every(({ destroyed }) => !destroyed),
            'no peer has closed',
          );
        } finally {
          for (const peer of peers) peer.destroy();
        }
      });
    }
  });
}

async function tcp(port: number): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function tls(port: number): Promise<TLSSocket> {
  const socket = connectTls({ socket: await tcp(port), rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}
