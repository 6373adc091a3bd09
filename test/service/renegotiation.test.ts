import assert from 'node:assert/strict';
import { once } from 'node:events';
import { it } from 'node:test';
import { connect } from 'node:tls';
import { TestRelay, within } from './support.ts';

// Bun's client cannot start a renegotiation; its server refuses it automatically.
it('TLS 1.2 has no second handshake on a connection', { skip: 'bun' in process.versions }, async () => {
  const relay = await TestRelay.start();
  const socket = connect({ port: relay.port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
  const errors: Error[] = [];
  socket.on('error', (error: Error) => errors.push(error));
  await within(once(socket, 'secureConnect'), 'TLS');
  const answered = new Promise<Error | null>((resolve) => {
    socket.renegotiate({ rejectUnauthorized: false }, resolve);
    socket.once('close', () => resolve(errors[0] ?? new Error('closed')));
  });
  assert.ok((await within(answered, 'the answer')) instanceof Error);
  socket.destroy();
  await relay.stop();
});
