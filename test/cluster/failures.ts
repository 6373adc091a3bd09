/** The ways in which a Valkey server fails without ending. */
import assert from 'node:assert/strict';
import type { TestServer } from './server.ts';
import { type RegionRelay, until } from './world.ts';

interface Failure {
  readonly what: string;
  /** What the note of `/readyz` says. */
  readonly reason: RegExp;
  readonly begin: (server: TestServer) => unknown;
  readonly end: (server: TestServer) => unknown;
}

const FAILURES: readonly Failure[] = [
  {
    what: 'hangs, with its connections open',
    reason: /timeout/i,
    begin: (server) => server.pause(),
    end: (server) => server.resume(),
  },
  {
    what: 'has become a replica that may only be read',
    reason: /READONLY/,
    begin: (server) => server.command('REPLICAOF', '127.0.0.1', '1'),
    end: (server) => server.command('REPLICAOF', 'NO', 'ONE'),
  },
  {
    what: 'has no memory left',
    reason: /OOM|maxmemory/,
    begin: (server) => server.command('CONFIG', 'SET', 'maxmemory', '1'),
    end: (server) => server.command('CONFIG', 'SET', 'maxmemory', '0'),
  },
  {
    what: 'has another password',
    reason: /WRONGPASS|invalid username-password/,
    begin: async (server) => {
      await server.changePassword('another');
    },
    end: async (server) => {
      await server.changePassword('a password of the test');
    },
  },
];

/** Lets the server fail in each way. Both relays say why, stay ready, and share counts again when it works. */
export async function serverFailures(
  server: TestServer,
  relays: readonly RegionRelay[],
  say: (what: string) => void,
): Promise<void> {
  const areAll = async (up: number): Promise<boolean> =>
    (await Promise.all(relays.map((relay) => relay.metric('towpath_cluster_up')))).every((value) => value === up);
  await until(() => areAll(1), 'both relays share their counts');
  for (const { what, reason, begin, end } of FAILURES) {
    await begin(server);
    const noticedMs = await until(() => areAll(0), `the relays notice that the server ${what}`);
    for (const relay of relays) {
      await until(async () => reason.test(await relay.page('readyz')), `${relay.name} says why: ${reason.source}`);
      assert.match(await relay.page('readyz'), /^ready\nnote: cluster: /);
    }
    await end(server);
    const backMs = await until(() => areAll(1), `counts are shared after the server ${what}`);
    say(`the server ${what}: said after ${Math.round(noticedMs)} ms; shared again ${Math.round(backMs)} ms later`);
  }
}
