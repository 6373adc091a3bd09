import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { transport } from '../../src/transport/runtime.ts';
import { SERVER } from '../cluster/server.ts';
import { freePort } from '../free-port.ts';
import { nextPacket, within } from '../service/support.ts';
import { RelayProcess } from './relay-process.ts';

const REGION = path.resolve(import.meta.dirname, '../../deploy/region');
const PATIENCE_MS = 60_000;

interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
}

interface ComposeService {
  /** Only the relays have an environment. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly command: readonly string[];
}

/** Starts the Valkey of the Compose file where this machine has one, and returns its port. */
async function startStore(context: TestContext, { command }: ComposeService, folder: string): Promise<number> {
  const port = await freePort();
  const [program, config, ...rest] = command;
  assert.deepEqual([program, rest], ['valkey-server', []]);
  if (SERVER === undefined) return port;
  const file = config!.replace('/region/', `${folder}/`);
  const child = spawn(SERVER, [file, '--port', String(port), '--bind', '127.0.0.1'], { stdio: 'ignore', cwd: folder });
  context.after(() => child.kill('SIGKILL'));
  return port;
}

test('the relays of deploy/region/compose.yaml, as processes with addresses in place of names, reach each other', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-region-'));
  execFileSync('sh', [path.join(REGION, 'make-certificates.sh'), folder, '127.0.0.1']);
  const inHere = (text: string): string => text.replaceAll('/region/', `${folder}/`);
  const config = path.join(folder, 'towpath.yaml');
  writeFileSync(config, inHere(readFileSync(path.join(REGION, 'towpath.yaml'), 'utf8')));

  const { services } = parse(readFileSync(path.join(REGION, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;
  const { valkey: store, ...named } = services;
  const storePort = await startStore(t, store!, folder);
  const ports = new Map<string, number>();
  for (const name of Object.keys(named)) ports.set(name, await freePort());
  const relays = Object.entries(named).map(([name, { environment = {} }]) => {
    const env: Record<string, string> = {};
    for (const [key, text] of Object.entries(environment)) env[key] = inHere(text).replace(`${name}.`, '127.0.0.1.');
    const others = environment['TOWPATH_MESH_WITH']!.split(',').map((other) => `127.0.0.1:${ports.get(other)!}`);
    const args = ['--listen', `127.0.0.1:${ports.get(name)!}`, '--stun', 'off', '--admin', 'off', '--no-self-test'];
    return new RelayProcess(
      ['--config', config, ...args],
      mkdtempSync(path.join(folder, `${name}-`)),
      undefined,
      undefined,
      {
        env: {
          ...{ ...process.env, ...env, TOWPATH_MESH_WITH: others.join(',') },
          TOWPATH_CLUSTER_VALKEY: `redis://127.0.0.1:${storePort}`,
        },
      },
    );
  });
  t.after(async () => {
    for (const relay of relays) await relay.clean();
    rmSync(folder, { recursive: true });
  });
  for (const relay of relays) {
    for (const other of relays.filter((one) => one !== relay)) {
      const port = [...ports.values()][relays.indexOf(other)]!;
      await relay.says(new RegExp(`opened .*mesh link.*127\\.0\\.0\\.1:${port}`), PATIENCE_MS);
    }
  }

  // Without a server on this machine, the relays log this and go on.
  const counting =
    SERVER === undefined ? /server of the region cannot be reached/ : /counts are shared with the other relays/;
  for (const relay of relays) await relay.says(counting, PATIENCE_MS);

  const clock = new Clock();
  clock.start();
  t.after(() => clock.stop());
  const caPem = readFileSync(path.join(folder, 'authority.pem'), 'utf8');
  const clients: DerpClient[] = [];
  t.after(() => clients.forEach((client) => client.abort()));
  for (const port of ports.values()) {
    const verify = { kind: 'ca', name: '127.0.0.1', caPem } as const;
    clients.push(await connectDerp({ transport, clock, url: `https://127.0.0.1:${port}/derp`, verify }));
  }
  const [first, last] = [clients[0]!, clients.at(-1)!];
  const arrived = nextPacket(last);
  // The relay of the first client may get the key of the last one later.
  const resend = setInterval(() => first.send(last.publicKey, Buffer.from('hello')), 50);
  t.after(() => clearInterval(resend));
  const { source, packet } = await within(arrived, 'a packet from relay to relay', PATIENCE_MS);
  assert.deepEqual([source, packet.toString()], [first.publicKey, 'hello']);
});
