/** Child of the "inherited descriptor" test: listens on descriptor 3 and sends each client the port. */
import { transport } from '../../src/transport/runtime.ts';

const listener = await transport.listen(
  { ip: '127.0.0.1', port: 0, tls: null, fd: 3 },
  {
    accepted: () => ({
      handshaking: () => undefined,
      opened(stream) {
        const greeting = Buffer.from(`port ${listener.address.port}`);
        stream.write(greeting, 0, greeting.length);
        return { bytes: () => undefined, writable: () => undefined, closed: () => undefined };
      },
      released: () => undefined,
      failed: () => undefined,
    }),
    refused: () => undefined,
    error: () => undefined,
  },
);
console.log('listening');
