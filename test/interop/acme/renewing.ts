import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { connectDerp } from '../../../src/client/connect.ts';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { Clock } from '../../../src/base/clock.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { RUNS_ON_BUN } from '../relay-program.ts';
import type { Authority } from './authority.ts';
import { until } from './authority.ts';
import { authority, relay, storeOf, type Case, type Stage } from './stage.ts';

const HOOK = path.join(import.meta.dirname, 'dns-hook.ts');
const CONNECTIONS = 100;
/** Lifetime of a certificate in seconds: short, so that it is renewed while the case waits. */
const VALIDITY_SECONDS = 24;

/** Renewal, restarts, damage and clocks. */
export const renewing: readonly Case[] = [
  {
    name: `a renewal while ${CONNECTIONS} connections hold: not one is lost, tickets live on, new ones get the new certificate`,
    run: async (stage) => {
      const pebble = await authority(stage, { validitySeconds: VALIDITY_SECONDS });
      const towpath = await relay(stage, pebble);
      await towpath.issued('towpath.test');
      const before = towpath.presented('towpath.test');
      const clock = new Clock();
      clock.start();
      stage.atEnd(() => clock.stop());
      let lost = 0;
      const clients = await Promise.all(
        Array.from({ length: CONNECTIONS }, () => derp(stage, pebble, clock, () => lost++)),
      );
      const ticket = await sessionOf(stage, null);
      await until('the renewal', () => towpath.presented('towpath.test').serialNumber !== before.serialNumber);
      const after = towpath.presented('towpath.test');
      assert.ok(after.validToDate > before.validToDate);
      const times = await Promise.all(clients.map((client) => client.ping()));
      assert.equal(times.length, CONNECTIONS);
      assert.equal(lost, 0);
      assert.equal(clients.filter((client) => client.isOpen).length, CONNECTIONS);
      // In Bun, ticket keys cannot be set: tickets end with the certificate, and the handshake is a full one.
      assert.equal((await sessionOf(stage, ticket.session)).reused, !RUNS_ON_BUN, 'a ticket from before the renewal');
      const another = await derp(stage, pebble, clock, () => undefined);
      another.close();
      for (const client of clients) client.abort();
      assert.equal((await towpath.ready()).status, 200);
    },
  },
  {
    name: 'a restart asks for nothing again; kill -9 in the middle of an order goes on with that order',
    run: async (stage) => {
      const pebble = await authority(stage);
      const log = path.join(stage.folder, 'hook.log');
      // The relay is killed during the wait of the hook: the authority has not checked yet, and must not find a dead relay.
      const dnsHook = { command: [process.execPath, HOOK, stage.dns.url, log], waitSeconds: 2 };
      const first = await relay(stage, pebble, { dnsHook });
      await until('the hook', () => existsSync(log));
      await first.stop('SIGKILL');
      const second = await relay(stage, pebble, { dnsHook });
      await second.issued('towpath.test');
      assert.equal(pebble.output.match(/added order/gi)?.length, 1);
      const { serialNumber } = second.presented('towpath.test');
      await second.stop();
      const third = await relay(stage, pebble, { dnsHook });
      assert.equal(third.presented('towpath.test').serialNumber, serialNumber);
      await sleep(2500);
      assert.doesNotMatch(third.output, /ordering a certificate/);
    },
  },
  {
    name: 'damaged files are moved aside and made anew',
    run: async (stage) => {
      const pebble = await authority(stage);
      const first = await relay(stage, pebble);
      await first.issued('towpath.test');
      await first.stop();
      const files = ['account.json', 'towpath.test.pem', 'towpath.test.state.json'];
      for (const file of files) {
        const at = storeOf(stage, pebble, file);
        const text = readFileSync(at, 'utf8');
        writeFileSync(at, text.slice(0, text.length / 2));
      }
      const second = await relay(stage, pebble);
      await second.issued('towpath.test');
      for (const file of files) await second.says(new RegExp(`${file}.broken`));
      assert.doesNotMatch(second.output, /PRIVATE KEY/);
    },
  },
  {
    name: 'a certificate that ended while the relay was down is renewed at once, and readiness says so meanwhile',
    run: async (stage) => {
      const pebble = await authority(stage, { validitySeconds: 10 });
      // The wait of the hook separates the start from the renewal.
      const command = [process.execPath, HOOK, stage.dns.url, path.join(stage.folder, 'hook.log')];
      const section = { challenges: ['dns-01'], dnsHook: { command, waitSeconds: 3 } };
      const first = await relay(stage, pebble, section);
      await first.issued('towpath.test');
      const ended = first.presented('towpath.test');
      await first.stop();
      await sleep(Math.max(0, ended.validToDate.getTime() - Date.now() + 1500));
      const second = await relay(stage, pebble);
      assert.equal(second.presented('towpath.test').serialNumber, ended.serialNumber);
      await until('readiness fails', async () => (await second.ready()).status === 503);
      assert.match((await second.ready()).text, /expired/);
      await until('the renewal', () => second.presented('towpath.test').serialNumber !== ended.serialNumber);
      await until('readiness is back', async () => (await second.ready()).status === 200);
    },
  },
  {
    name: 'the authority forgot our account: a new one is made with the same key',
    run: async (stage) => {
      const pebble = await authority(stage);
      const first = await relay(stage, pebble);
      await first.issued('towpath.test');
      await first.stop();
      const account = storeOf(stage, pebble, 'account.json');
      const text = readFileSync(account, 'utf8');
      writeFileSync(account, text.replace(/my-account\/[^"]+/, 'my-account/0'));
      const second = await relay(stage, pebble, {}, { hostname: 'other.test' });
      await second.issued('other.test');
      assert.doesNotMatch(readFileSync(account, 'utf8'), /my-account\/0"/);
    },
  },
];

function derp(stage: Stage, { rootPem }: Authority, clock: Clock, lost: () => void): Promise<DerpClient> {
  return connectDerp({
    transport,
    clock,
    url: `https://127.0.0.1:${stage.ports.tls}/derp`,
    serverName: 'towpath.test',
    verify: { kind: 'ca', name: 'towpath.test', caPem: rootPem },
    handler: { closed: (error) => error === null || lost() },
  });
}

/** Opens a TLS connection, with a session if there is one; returns the new session. */
async function sessionOf(stage: Stage, session: Buffer | null): Promise<{ session: Buffer; reused: boolean }> {
  const socket: TLSSocket = connect({
    port: stage.ports.tls,
    host: '127.0.0.1',
    servername: 'towpath.test',
    rejectUnauthorized: false,
    ...(session === null ? {} : { session }),
  });
  const sessions: Buffer[] = [];
  socket.on('session', (given: Buffer) => sessions.push(given));
  await once(socket, 'secureConnect');
  // TLS 1.3 sends its tickets after the handshake; an answer to a request comes after the tickets.
  socket.write('GET /generate_204 HTTP/1.1\r\nHost: towpath.test\r\nConnection: close\r\n\r\n');
  await once(socket, 'data');
  const reused = socket.isSessionReused();
  socket.destroy();
  return { session: sessions.at(-1)!, reused };
}
