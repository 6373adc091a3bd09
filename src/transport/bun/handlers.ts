import type { SocketHandlers } from './api.ts';

/** The handlers of all TCP sockets: a socket's `data` is told. */
export const SOCKET_HANDLERS: SocketHandlers = {
  binaryType: 'buffer',
  open: (socket) => socket.data.connected(socket),
  handshake: (socket, ok, error) => socket.data.secured(socket, ok, error),
  data: (socket, chunk) => socket.data.received(chunk),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.peerEnded(),
  close: (socket, error) => socket.data.socketClosed(error ?? null),
  // Bun hands over what a handler has thrown. That is a bug of ours, which must end the process as it does on Node.
  error: (_socket, error) => {
    queueMicrotask(() => {
      throw error;
    });
  },
};
