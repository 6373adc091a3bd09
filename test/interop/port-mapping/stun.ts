/**
 * `stun.ts serve IP PORT` answers STUN; `stun.ts ask IP PORT` asks once and prints the answer, or fails after 2 s.
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { encodeBindingRequest, MAX_STUN_RESPONSE_BYTES, parseBindingResponse } from '../../../src/wire/stun.ts';
import { writeStunResponse } from '../../wire/stun-response.ts';

const [what, ip = '', port = '0'] = process.argv.slice(2);
const socket = createSocket('udp4');
if (what === 'serve') {
  const out = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  socket.on('message', (request, from) => {
    const length = writeStunResponse(out, request, 0, from.address, from.port);
    socket.send(out.subarray(0, length), from.port, from.address);
  });
  socket.bind(Number(port), ip);
} else {
  socket.on('message', (answer, from) => {
    const seen = parseBindingResponse(answer, 0, answer.length);
    console.log(`${seen?.ip ?? '?'} answered from ${from.address}:${from.port}`);
    socket.close();
    process.exit(seen === null ? 1 : 0);
  });
  socket.send(encodeBindingRequest(randomBytes(12)), Number(port), ip);
  setTimeout(() => process.exit(1), 2000);
}
