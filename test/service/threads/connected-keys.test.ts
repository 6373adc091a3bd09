import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RelayEvents } from '../../../src/relay/relay.ts';
import { ConnectedKeys } from '../../../src/service/threads/connected-keys.ts';
import type { ThreadEvent } from '../../../src/service/threads/messages.ts';

test('all connections of a thread that has ended are closed, each with its address, and those of no other thread', () => {
  const told: string[] = [];
  const ignored = (): void => undefined;
  const events: RelayEvents = {
    opened: ({ port }, key) => told.push(`+${key.toString('latin1', 0, 1)}${port}`),
    closed: ({ ip, port }, key, reason) => told.push(`-${key.toString('latin1', 0, 1)} ${ip}:${port} ${reason}`),
    ...{ refused: ignored, listenerError: ignored },
    ...{ link: ignored, memory: ignored },
  };
  const connected = new ConnectedKeys(events);
  const note = (index: number, ...list: ThreadEvent[]): void =>
    connected.noted(index, { kind: 'events', events: list });
  const remote = (port: number): { ip: string; port: number } => ({ ip: '192.0.2.1', port });
  const opened = (name: string, port: number): ThreadEvent => ({
    ...{ kind: 'opened', remote: remote(port), key: Buffer.alloc(32, name), app: '' },
  });
  note(1, opened('a', 1), opened('a', 2), opened('b', 3));
  note(2, opened('a', 4));
  note(1, { kind: 'closed', remote: remote(1), key: Buffer.alloc(32, 'a'), reason: 'left' });
  told.length = 0;
  connected.threadEnded(1);
  assert.deepEqual(told, ['-a 192.0.2.1:2 thread ended', '-b 192.0.2.1:3 thread ended']);
  connected.threadEnded(1);
  assert.equal(told.length, 2);
});
