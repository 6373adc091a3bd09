import { internalError } from '../../base/errors.ts';
import type { BunSocket, SocketHandlers } from './api.ts';

const BORINGSSL = /^error:[0-9a-f]{8}:/;

/** The handlers of all TCP sockets: a socket's `data` is told. */
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
    // What a handler has thrown comes here too. It is a bug of ours.
    else failed(socket, error);
  },
};

/** Errors of the operating system name a system call; those of TLS are BoringSSL's words, at times nothing else. */
function isSocketError(error: Error): boolean {
  return 'syscall' in error || 'library' in error || BORINGSSL.test(error.message);
}

function failed(socket: BunSocket, error: unknown): void {
  internalError('socket', error);
  socket.terminate();
}
