import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { HeadDeadline } from '../../src/http/head-deadline.ts';

/** A server without deadlines of its own, as on a runtime that has none. */
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new EventEmitter();
  const seen = { expired: 0 };
  const deadline = new HeadDeadline(100, 50, () => {
    seen.expired += 1;
  });
  deadline.watch(server);
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  server.emit('connection', socket);
  const request = (): EventEmitter => {
    const response = new EventEmitter();
    server.emit('request', { socket }, response);
    return response;
  };
  return { seen, deadline, socket, request, pass: (ms: number) => t.mock.timers.tick(ms) };
}

describe('head deadline', () => {
  it('ends a connection whose first head does not arrive', (t) => {
    const { seen, socket, pass } = setUp(t);
    pass(99);
    assert.ok(!socket.destroyed);
    pass(1);
    assert.ok(socket.destroyed);
    assert.equal(seen.expired, 1);
  });

  it('waits as long as an answer takes, and less for the next head', (t) => {
    const { seen, socket, request, pass } = setUp(t);
    const response = request();
    pass(1000);
    assert.ok(!socket.destroyed);
    response.emit('close');
    pass(49);
    request().emit('close');
    pass(49);
    assert.ok(!socket.destroyed);
    pass(1);
    assert.ok(socket.destroyed);
    assert.equal(seen.expired, 0, 'an idle connection is no refusal');
  });

  it('forgets closed and released connections', async (t) => {
    const closed = setUp(t);
    const response = closed.request();
    closed.socket.destroy();
    response.emit('close');
    await once(closed.socket, 'close');
    closed.pass(1000);
    assert.equal(closed.seen.expired, 0);
    t.mock.timers.reset();
    const released = setUp(t);
    released.deadline.release(released.socket);
    released.pass(1000);
    assert.ok(!released.socket.destroyed);
  });
});
