import { internalError } from '../../base/errors.ts';
import type { BunSocket, SocketHandlers } from './api.ts';

const BORINGSSL = /^error:[0-9a-f]{8}:/;

/** The handlers of all TCP sockets. Each passes the event to the owner of the socket, its `data`. */
export const SOCKET_HANDLERS: SocketHandlers = {
  binaryType: 'buffer',
  open: (socket) => socket.data.connected(socket),
  handshake: (socket, ok, error) => socket.data.secured(socket, ok, error),
  data: (socket, chunk) => socket.data.received(chunk),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.peerEnded(),
  close: (socket, error) => socket.data.socketClosed(error ?? null),
  error: (socket, error) => {
    if (isSocketError(error)) socket.data.failed(error);
    // Exceptions of our own handlers come here too. They are bugs.
    else failed(socket, error);
  },
};

/**
 * Errors of the operating system name a system call. Those of TLS have BoringSSL's text, sometimes without anything
 * else.
 */
function isSocketError(error: Error): boolean {
  return 'syscall' in error || 'library' in error || BORINGSSL.test(error.message);
}

function failed(socket: BunSocket, error: unknown): void {
  internalError('socket', error);
  socket.terminate();
}
