import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { encodeBindingRequest, parseBindingResponse } from '../../src/wire/stun.ts';
import { BUN, needsBun } from '../bun/installed.ts';
import { within } from '../service/support.ts';
import { datagramFd } from './datagram-fd.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
/** Longest wait, in milliseconds: the machine runs other tests at the same time. */
const WAIT_MS = 30_000;
// Only Node gives access to the descriptors of its sockets. The relay that gets them runs on both runtimes.
const skip = 'bun' in process.versions ? 'needs Node to open the sockets' : false;

async function ask(ip: string, port: number): Promise<string | undefined> {
  const client = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  try {
    const answer = once(client, 'message') as Promise<[Buffer]>;
    client.send(encodeBindingRequest(Buffer.alloc(12, 7)), port, ip);
    const [bytes] = await within(answer, `an answer from ${ip}`, WAIT_MS);
    return parseBindingResponse(bytes, 0, bytes.length)?.ip;
  } finally {
    client.close();
  }
}

for (const [name, program] of Object.entries({ Node: process.execPath, Bun: BUN })) {
  describe(`a peer relay on ${name}`, { skip: program === null ? needsBun.skip : skip, timeout: 120_000 }, () => {
    it('has a port from systemd for both families, and opens the others itself', async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'towpath-peer-relay-'));
      const inherited = createSocket('udp6').bind(0, '::');
      await once(inherited, 'listening');
      const { port } = inherited.address();
      const config = path.join(folder, 'towpath.yaml');
      // Nothing listens there: the relay tries again and again, and its ports are open.
      const tailnet = { name: 'home', controlUrl: 'http://127.0.0.1:1', hostname: 'relay' };
      const peerRelay = { ports: [port, 0], stateDirectory: folder, tailnets: [tailnet] };
      writeFileSync(config, JSON.stringify({ log: { level: 'info' }, peerRelay }));
      const off = ['--http', 'off', '--admin', 'off', '--no-self-test', '--certificate-directory', folder];
      const own = ['--listen', '127.0.0.1:0', '--hostname', '127.0.0.1', '--key-file', path.join(folder, 'derper.key')];
      const command = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=stun exec "$@"';
      const child = spawn('sh', ['-c', command, 'sh', program!, MAIN, 'serve', '--config', config, ...off, ...own], {
        stdio: ['ignore', 'pipe', 'pipe', datagramFd(inherited)],
      });
      inherited.close();
      const ended = once(child, 'close');
      try {
        let output = '';
        const started = new Promise<void>((resolve, reject) => {
          for (const stream of [child.stdout, child.stderr])
            stream?.setEncoding('utf8').on('data', (text: string) => {
              output += text;
              if (output.includes('"msg":"towpath started"')) resolve();
            });
          child.once('close', () => reject(new Error(output)));
        });
        await within(started, 'the start', WAIT_MS);
        const line = output.split('\n').find((text) => text.includes('"msg":"towpath started"'))!;
        const { stun } = JSON.parse(line) as { stun: { ip: string; port: number }[] };
        assert.deepEqual(stun[0], { ip: '::', port });
        assert.ok(stun.length > 1 && stun.slice(1).every((place) => place.port !== port), JSON.stringify(stun));
        assert.equal(await ask('127.0.0.1', port), '127.0.0.1');
        assert.equal(await ask('::1', port), '::1');
        assert.equal(await ask('127.0.0.1', stun[1]!.port), '127.0.0.1');
      } finally {
        child.kill('SIGKILL');
        await ended;
        rmSync(folder, { recursive: true });
      }
    });
  });
}
