/**
 * Tests a relay at home, behind a router with miniupnpd: for each protocol, the relay must learn its public addresses and
 * be reached at them from outside. Prints the log of the relay, and `passed` or the failure.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import type { PeerRelayStatus } from '../../../src/service/peer-relay/page.ts';
import { Program, until } from '../peer-relay/program.ts';
import { RELAY_PROGRAM } from '../relay-program.ts';
import { HOME_IP, HomeNetwork, OUTSIDE_IP, ROUTER_IP } from './home-network.ts';

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts');
const STUN = path.resolve(import.meta.dirname, 'stun.ts');
const ADMIN = '127.0.0.1:9090';
const PORTS = [3478, 40_000];

const folder = mkdtempSync('/tmp/pm-');
const network = new HomeNetwork(folder);
const running: Program[] = [];

function start(program: Program): Program {
  running.push(program);
  return program;
}

function startRelay(): Program {
  const config = path.join(folder, 'towpath.yaml');
  writeFileSync(
    config,
    stringify({
      listen: '127.0.0.1:8443',
      http: 'off',
      admin: ADMIN,
      stun: 'off',
      keyFile: path.join(folder, 'derper.key'),
      admission: { open: true },
      certificate: { directory: path.join(folder, 'certs'), names: [ROUTER_IP] },
      peerRelay: {
        ports: PORTS,
        // Port 1 refuses connections, so that the relay runs without a tailnet.
        tailnets: [{ name: 'home', controlUrl: 'http://127.0.0.1:1' }],
        advertise: { stunServers: [`${OUTSIDE_IP}:3478`] },
        stateDirectory: path.join(folder, 'peer-relay'),
      },
    }),
  );
  return start(new Program(network.inside('home', [RELAY_PROGRAM, MAIN, 'serve', '--config', config])));
}

function status(): PeerRelayStatus {
  const text = network.run('home', 'curl', '-s', `http://${ADMIN}/peer-relay?format=json`);
  return JSON.parse(text) as PeerRelayStatus;
}

const addressesOf = (name: 'port mapping' | 'STUN'): string[] =>
  (status().addressSources.find((source) => source.name === name)?.addresses ?? []).map(
    ({ ip, port }) => `${ip}:${port}`,
  );

function isReached(port: number): boolean {
  try {
    console.log(
      `  from outside: ${network.run('outside', process.execPath, STUN, 'ask', ROUTER_IP, String(port)).trim()}`,
    );
    return true;
  } catch {
    return false;
  }
}

async function check(protocol: 'PCP' | 'NAT-PMP' | 'UPnP'): Promise<void> {
  const relay = startRelay();
  const wanted = PORTS.map((port) => `${ROUTER_IP}:${port}`).join(' ');
  await until(
    () => `the relay starts: ${relay.output.slice(-2000)}`,
    () => status().listens.length > 0,
  );
  await until(
    () => `${protocol}: ports ${wanted}: ${JSON.stringify(status().addressSources)}`,
    () => addressesOf('port mapping').join(' ') === wanted && addressesOf('STUN').join(' ') === wanted,
    30_000,
  );
  const how = status().addressSources.find(({ name }) => name === 'port mapping')?.how;
  if (how !== protocol) throw new Error(`the ports were mapped by ${how}, not by ${protocol}`);
  console.log(
    `${protocol}: ${network.run('home', 'curl', '-s', `http://${ADMIN}/peer-relay`).split('\n').slice(0, 6).join('\n  ')}`,
  );
  for (const port of PORTS) await until(`port ${port} is reached from outside`, () => isReached(port), 10_000);
  await relay.stop();
}

try {
  start(new Program(network.inside('outside', [process.execPath, STUN, 'serve', OUTSIDE_IP, '3478'])));
  if (isReached(PORTS[0]!)) throw new Error('the router lets everything in: the test would prove nothing');
  let daemon = start(network.startDaemon({ pcp: true, upnp: false }));
  await check('PCP');
  // The mapping has to be renewed with the nonce of the relay before it.
  await check('PCP');
  await daemon.stop();
  network.forget();
  network.dropPcp();
  daemon = start(network.startDaemon({ pcp: true, upnp: false }));
  await check('NAT-PMP');
  await daemon.stop();
  network.forget();
  daemon = start(network.startDaemon({ pcp: false, upnp: true }));
  await check('UPnP');
  await daemon.stop();
  console.log(`the relay at ${HOME_IP} was reached at ${ROUTER_IP} each time`);
  console.log('passed');
} catch (error) {
  console.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  for (const { output } of running) console.log(`---\n${output.slice(-3000)}`);
  process.exitCode = 1;
} finally {
  for (const program of running.reverse()) await program.stop();
  network.remove();
  if (process.exitCode === 1) console.log(`left for you: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
