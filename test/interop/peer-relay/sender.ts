/** `sender.ts PORT BYTES [IP]`: sends this number of bytes to the client that connects, and prints their SHA-256. */
import { createHash, createCipheriv } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const CHUNK = Buffer.alloc(65_536);
const [port = 0, bytes = 0] = process.argv.slice(2, 4).map(Number);
const ip = process.argv[4] ?? '127.0.0.1';

createServer((socket) => {
  socket.on('error', () => process.exit(1));
  void (async () => {
    const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16));
    const hash = createHash('sha256');
    for (let left = bytes; left > 0; left -= CHUNK.length) {
      const chunk = noise.update(CHUNK).subarray(0, left);
      hash.update(chunk);
      if (!socket.write(chunk)) await once(socket, 'drain');
    }
    socket.end();
    console.log(`sent ${hash.digest('hex')}`);
  })();
}).listen(port, ip, () => console.log('listening'));
