/** Makes a final, masked WebSocket frame; the mask is zero. */
export function webSocketFrame(operation: number, payload: Buffer): Buffer {
  const size = payload.length;
  const length = Buffer.alloc(size < 126 ? 1 : size < 65_536 ? 3 : 9);
  length[0] = 0x80 | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (length.length === 3) length.writeUInt16BE(size, 1);
  if (length.length === 9) length.writeBigUInt64BE(BigInt(size), 1);
  return Buffer.concat([Buffer.of(0x80 | operation), length, Buffer.alloc(4), payload]);
}

/** Returns the payload of the whole frames at the start of the bytes of a server, and the rest of the bytes. */
export function openWebSocket(received: Buffer): { readonly payload: Buffer; readonly rest: Buffer } {
  const parts: Buffer[] = [];
  let at = 0;
  while (received.length >= at + 2) {
    const short = received[at + 1]! & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (received.length < at + header) break;
    const size =
      short < 126 ? short : short === 126 ? received.readUInt16BE(at + 2) : Number(received.readBigUInt64BE(at + 2));
    if (received.length < at + header + size) break;
    // Close, ping and pong frames are not part of the stream.
    if ((received[at]! & 0x0f) < 8) parts.push(received.subarray(at + header, at + header + size));
    at += header + size;
  }
  return { payload: Buffer.concat(parts), rest: received.subarray(at) };
}
