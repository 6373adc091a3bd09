/**
 * A relay inside a test: start it, give its DERP map or URL to what you test, look at what it counted, close it.
 * With towpath installed from npm the import is `from 'towpath'`.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startRelay, type StartedRelay } from '../src/start-relay.ts';

let relay: StartedRelay;

before(async () => {
  relay = await startRelay({
    region: { id: 901, code: 'test' },
    fairness: { perClient: { bytesPerSecond: 1_000_000 } },
  });
});

after(() => relay.close());

test('a client finds the relay by its map', async () => {
  const [node] = relay.derpMap.Regions['901']!.Nodes;
  assert.match(node!.CertName!, /^sha256-raw:[0-9a-f]{64}$/);

  const answer = await fetch(`http://127.0.0.1:${node!.DERPPort!}/`).catch((error: unknown) => error);
  assert.ok(answer instanceof Error, 'the port speaks TLS only');
  assert.ok(relay.counters.tcpAccepts > 0, 'the relay has counted the connection');
});
