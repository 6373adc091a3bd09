import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { Counters } from '../../../src/observe/counters.ts';
import type { GuardRefusal } from '../../../src/relay/door/door-guard.ts';
import { FrontDoor, type FrontProxies } from '../../../src/relay/door/front-door.ts';
import type { Endpoint, Stream } from '../../../src/transport/port.ts';
import type { RequestHead } from '../../../src/wire/request-head.ts';
import { MemoryStream } from '../session/support.ts';

const CLIENT: Endpoint = { ip: '192.0.2.1', port: 1 };
const LIMITS = { requestHeadBytes: 500, requestHeadMs: 10_000 };
const UPGRADE = 'GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n';
const PAGE = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const PROXIES: FrontProxies = {
  isTrusted: (ip) => ip === '192.0.2.1',
  header: 'x-forwarded-for',
  excludesOthers: false,
};

/** A front door with streams in memory, and the connections that it accepts. */
class World {
  readonly clock: Clock = new Clock();
  readonly counters: Counters = new Counters();
  readonly refusals: string[] = [];
  readonly derp: { readonly stream: Stream; readonly fastStart: boolean; received: string }[] = [];
  readonly http: { readonly received: string; readonly isAllowed: ((head: RequestHead) => boolean) | null }[] = [];
  readonly accounts: { readonly ip: string; readonly events: string[] }[] = [];
  guardRefuses: GuardRefusal | null = null;
  moveRefuses: GuardRefusal | null = null;
  readonly door: FrontDoor;

  constructor(proxies: FrontProxies | null = null) {
    this.door = new FrontDoor({
      handlers: {
        derp: (stream, { fastStart }) => {
          const entry = { stream, fastStart, received: '' };
          this.derp.push(entry);
          return {
            bytes: (_stream, buffer, from, to) => (entry.received += buffer.toString('latin1', from, to)),
            writable: () => undefined,
            closed: () => undefined,
          };
        },
        http: (_stream, received, isAllowed) => this.http.push({ received: received.toString('latin1'), isAllowed }),
        refused: (reason, remote) => this.refusals.push(`${reason} ${remote.ip}`),
      },
      limits: LIMITS,
      clock: this.clock,
      counters: this.counters,
      guard: {
        admit: (ip) => {
          if (this.guardRefuses !== null) return this.guardRefuses;
          const events: string[] = [];
          this.accounts.push({ ip, events });
          return {
            progressed: () => events.push('progressed'),
            movedTo: (to) => {
              events.push(`moved to ${to}`);
              return this.moveRefuses;
            },
            established: () => null,
            left: () => events.push('left'),
          };
        },
        misbehaved: () => undefined,
      },
      proxies,
      onListenerError: () => undefined,
    });
  }

  /** Returns an accepted connection after its TLS handshake. */
  connect(remote: Endpoint = CLIENT): MemoryStream {
    const stream = new MemoryStream();
    stream.remote = remote;
    const connection = this.door.accepted(remote);
    assert.ok(connection !== null);
    stream.handler = connection.opened(stream);
    return stream;
  }
}

suite('front door', () => {
  test('§1.1 an upgrade becomes a DERP connection, wherever its head is cut, and nothing behind it is lost', () => {
    const text = `${UPGRADE}first frame`;
    for (let cut = 1; cut < text.length; cut++) {
      const world = new World();
      const stream = world.connect();
      stream.feed(Buffer.from(text.slice(0, cut), 'latin1'));
      stream.feed(Buffer.from(text.slice(cut), 'latin1'));
      assert.deepEqual(
        world.derp.map(({ received, fastStart }) => [received, fastStart]),
        [['first frame', false]],
        `cut at ${cut}`,
      );
      assert.deepEqual([world.http, world.refusals], [[], []]);
    }
  });

  test('anything else goes to the HTTP server with all that was read, and its bytes are its own', () => {
    const world = new World();
    const stream = world.connect();
    stream.feed(Buffer.from(`${PAGE}POST`, 'latin1'));
    assert.deepEqual(world.http, [{ received: `${PAGE}POST`, isAllowed: null }]);
    assert.deepEqual(world.accounts, [{ ip: CLIENT.ip, events: ['progressed', 'progressed'] }]);
  });

  test('a head that is too large or cannot be read is answered and ends the connection', () => {
    for (const [text, status, reason] of [
      [`GET / HTTP/1.1\r\nX: ${'y'.repeat(600)}`, 431, 'head_too_large'],
      ['GET / HTTP/1.1\r\nno header\r\n\r\n', 400, 'head_invalid'],
      ['GET / HTTP/3.0\r\nHost: x\r\n\r\n', 505, 'head_invalid'],
    ] as const) {
      const world = new World();
      const stream = world.connect();
      for (let at = 0; at < text.length; at += 100) stream.feed(Buffer.from(text.slice(at, at + 100), 'latin1'));
      assert.match(stream.text(), new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.deepEqual([stream.end, world.refusals], ['finish', [`${reason} ${CLIENT.ip}`]]);
      assert.deepEqual([world.derp, world.http], [[], []]);
    }
  });

  test('a head that does not come in time ends the connection; others have their own time', () => {
    const world = new World();
    const slow = world.connect();
    slow.feed(Buffer.from('GET /'));
    world.clock.tick(world.clock.now + LIMITS.requestHeadMs - 1000);
    const later = world.connect();
    world.clock.tick(world.clock.now + 1000);
    assert.deepEqual([slow.end, later.end, world.refusals], ['abort', null, [`head_timeout ${CLIENT.ip}`]]);
    slow.close();
    later.close('end');
    assert.deepEqual(world.refusals, [`head_timeout ${CLIENT.ip}`, `head_closed ${CLIENT.ip}`]);
  });

  test('whom the guard refuses is not let in, and open streams are counted until they are released', () => {
    const world = new World();
    world.guardRefuses = { reason: 'source_limit', detail: '' };
    assert.equal(world.door.accepted(CLIENT), null);
    assert.deepEqual([world.refusals, world.counters.tcpAccepts], [[`source_limit ${CLIENT.ip}`], 1]);
    world.guardRefuses = null;
    const connection = world.door.accepted(CLIENT)!;
    connection.opened(new MemoryStream());
    assert.equal(world.counters.openStreams, 1);
    connection.released();
    assert.deepEqual([world.counters.openStreams, world.accounts[0]!.events.at(-1)], [0, 'left']);
  });

  test('a client that a trusted proxy names is the one that counts; of others the header means nothing', () => {
    const named = UPGRADE.replace('Host: x', 'Host: x\r\nX-Forwarded-For: 198.51.100.7');
    const world = new World(PROXIES);
    world.connect().feed(Buffer.from(named));
    assert.deepEqual(world.derp[0]!.stream.remote, { ip: '198.51.100.7', port: 0, isBehindProxy: true });
    assert.ok(world.accounts[0]!.events.includes('moved to 198.51.100.7'));
    world.connect({ ip: '203.0.113.9', port: 5 }).feed(Buffer.from(named));
    assert.equal(world.derp[1]!.stream.remote.ip, '203.0.113.9');
    world.moveRefuses = { reason: 'source_limit', detail: '' };
    const stream = world.connect();
    stream.feed(Buffer.from(named));
    assert.match(stream.text(), /^HTTP\/1\.1 429 /);
    assert.deepEqual(world.refusals, ['source_limit 198.51.100.7']);
  });

  test('further requests of a proxy are judged by the client that each names', () => {
    const world = new World(PROXIES);
    world.connect().feed(Buffer.from(PAGE));
    const { isAllowed } = world.http[0]!;
    const request = (ip: string): RequestHead => ({
      method: 'GET',
      target: '/',
      headers: new Map([['x-forwarded-for', ip]]),
    });
    assert.equal(isAllowed!(request('198.51.100.7')), true);
    world.moveRefuses = { reason: 'source_limit', detail: '' };
    assert.equal(isAllowed!(request('198.51.100.8')), false);
    assert.deepEqual(world.refusals, ['source_limit 198.51.100.8']);
  });

  test('where only proxies may connect, others are refused before anything is spent on them', () => {
    const world = new World({ ...PROXIES, excludesOthers: true });
    assert.equal(world.door.accepted({ ip: '203.0.113.9', port: 5 }), null);
    assert.deepEqual([world.refusals, world.accounts], [['untrusted_proxy 203.0.113.9'], []]);
    world.connect();
  });

  test('a door that is closed ends those that are still at it, and looks at no deadline any more', () => {
    const world = new World();
    const [waits, entered] = [world.connect(), world.connect()];
    entered.feed(Buffer.from(UPGRADE));
    world.door.close();
    assert.deepEqual([waits.end, entered.end], ['abort', null]);
    world.clock.tick(world.clock.now + 2 * LIMITS.requestHeadMs);
    assert.deepEqual(world.refusals, []);
  });
});
