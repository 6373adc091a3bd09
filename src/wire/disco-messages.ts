import { KEY_BYTES } from './frames.ts';
import {
  decodeRelayEndpoint,
  encodeRelayEndpoint,
  readSocketAddress,
  SOCKET_ADDRESS_BYTES,
  writeSocketAddress,
  type RelayEndpoint,
  type SocketAddress,
} from './relay-endpoint.ts';
import { isZeroKey } from './keys.ts';

/** Disco messages inside their envelope (peer relay reference §3): type, version, payload. */

export const DiscoType = {
  Ping: 1,
  Pong: 2,
  Bind: 4,
  Challenge: 5,
  Answer: 6,
  CallMeMaybeVia: 7,
  AllocateRequest: 8,
  AllocateResponse: 9,
} as const;
export type DiscoType = (typeof DiscoType)[keyof typeof DiscoType];

const HEADER_BYTES = 2;
const TRANSACTION_ID_BYTES = 12;
const CHALLENGE_BYTES = 32;
/** Bind, Challenge and Answer have one layout and one length, so that no answer is larger than its request. */
const HANDSHAKE_MESSAGE_BYTES: number = HEADER_BYTES + 8 + KEY_BYTES + CHALLENGE_BYTES;

/** A step of binding a client's address to an endpoint (peer relay §3.1). */
export interface HandshakeMessage {
  readonly type: typeof DiscoType.Bind | typeof DiscoType.Challenge | typeof DiscoType.Answer;
  /** 32 bits are sent, 24 are used. */
  readonly vni: number;
  /** Chosen by the client for each handshake, never 0. */
  readonly generation: number;
  /** Disco key of the other client of the endpoint. */
  readonly remoteKey: Buffer;
  /** 32 bytes; without meaning in a Bind. */
  readonly challenge: Buffer;
}

interface PingMessage {
  readonly type: typeof DiscoType.Ping;
  readonly transactionId: Buffer;
  /** The sender's node key; null when it is not sent. */
  readonly nodeKey: Buffer | null;
}

/** Has the address that the ping came from. */
interface PongMessage extends SocketAddress {
  readonly type: typeof DiscoType.Pong;
  readonly transactionId: Buffer;
}

interface CallMeMaybeViaMessage {
  readonly type: typeof DiscoType.CallMeMaybeVia;
  readonly endpoint: RelayEndpoint;
}

export interface AllocateRequest {
  readonly type: typeof DiscoType.AllocateRequest;
  /** Disco keys of the two clients, in any order. */
  readonly clientKeys: readonly [Buffer, Buffer];
  /** Sent back unchanged. */
  readonly generation: number;
}

export interface AllocateResponse {
  readonly type: typeof DiscoType.AllocateResponse;
  readonly generation: number;
  readonly endpoint: RelayEndpoint;
}

export type DiscoMessage =
  PingMessage | PongMessage | HandshakeMessage | CallMeMaybeViaMessage | AllocateRequest | AllocateResponse;

/** Returns the bytes of a message, ready to be sealed. */
export function encodeDiscoMessage(message: DiscoMessage): Buffer {
  switch (message.type) {
    case DiscoType.Ping:
      return withHeader(message.type, [message.transactionId, message.nodeKey ?? Buffer.alloc(0)]);
    case DiscoType.Pong: {
      const address = Buffer.alloc(SOCKET_ADDRESS_BYTES);
      writeSocketAddress(address, 0, message);
      return withHeader(message.type, [message.transactionId, address]);
    }
    case DiscoType.CallMeMaybeVia:
      return withHeader(message.type, [encodeRelayEndpoint(message.endpoint)]);
    case DiscoType.AllocateRequest:
      return withHeader(message.type, [...message.clientKeys, uint32(message.generation)]);
    case DiscoType.AllocateResponse:
      return withHeader(message.type, [uint32(message.generation), encodeRelayEndpoint(message.endpoint)]);
    default: {
      const { type, vni, generation, remoteKey, challenge } = message;
      return withHeader(type, [uint32(vni), uint32(generation), remoteKey, challenge]);
    }
  }
}

/**
 * Reads a message; null for a type that is not one of {@link DiscoType}, a version that its type does not allow, or a
 * length that does not fit (peer relay §2, peer relay §3). Keys and challenges are views of `bytes`.
 */
export function decodeDiscoMessage(bytes: Buffer): DiscoMessage | null {
  if (bytes.length < HEADER_BYTES) return null;
  const type = bytes[0]!;
  const payload = bytes.subarray(HEADER_BYTES);
  switch (type) {
    case DiscoType.Ping:
      return decodePing(payload);
    case DiscoType.Pong:
      return decodePong(payload);
    case DiscoType.Bind:
    case DiscoType.Challenge:
    case DiscoType.Answer:
      return decodeHandshake(type, payload);
    default:
      return bytes[1] === 0 ? decodeVersioned(type, payload) : null;
  }
}

/** Reads the types whose version matters: another version means another layout. */
function decodeVersioned(type: number, payload: Buffer): DiscoMessage | null {
  if (type === DiscoType.AllocateRequest) return decodeAllocateRequest(payload);
  if (type === DiscoType.AllocateResponse && payload.length >= 4) {
    const endpoint = decodeRelayEndpoint(payload.subarray(4));
    return endpoint === null ? null : { type, generation: payload.readUInt32BE(0), endpoint };
  }
  if (type === DiscoType.CallMeMaybeVia) {
    const endpoint = decodeRelayEndpoint(payload);
    return endpoint === null ? null : { type, endpoint };
  }
  return null;
}

function decodePing(payload: Buffer): PingMessage | null {
  if (payload.length < TRANSACTION_ID_BYTES) return null;
  const key = payload.subarray(TRANSACTION_ID_BYTES, TRANSACTION_ID_BYTES + KEY_BYTES);
  // 32 zero bytes are padding, not a key (peer relay §3.6).
  const nodeKey = key.length < KEY_BYTES || isZeroKey(key) ? null : key;
  return { type: DiscoType.Ping, transactionId: payload.subarray(0, TRANSACTION_ID_BYTES), nodeKey };
}

function decodePong(payload: Buffer): PongMessage | null {
  if (payload.length < TRANSACTION_ID_BYTES + SOCKET_ADDRESS_BYTES) return null;
  const { ip, port } = readSocketAddress(payload, TRANSACTION_ID_BYTES);
  return { type: DiscoType.Pong, transactionId: payload.subarray(0, TRANSACTION_ID_BYTES), ip, port };
}

function decodeHandshake(type: HandshakeMessage['type'], payload: Buffer): HandshakeMessage | null {
  if (payload.length < HANDSHAKE_MESSAGE_BYTES - HEADER_BYTES) return null;
  return {
    type,
    vni: payload.readUInt32BE(0),
    generation: payload.readUInt32BE(4),
    remoteKey: payload.subarray(8, 8 + KEY_BYTES),
    challenge: payload.subarray(8 + KEY_BYTES, 8 + KEY_BYTES + CHALLENGE_BYTES),
  };
}

function decodeAllocateRequest(payload: Buffer): AllocateRequest | null {
  if (payload.length < 2 * KEY_BYTES + 4) return null;
  return {
    type: DiscoType.AllocateRequest,
    clientKeys: [payload.subarray(0, KEY_BYTES), payload.subarray(KEY_BYTES, 2 * KEY_BYTES)],
    generation: payload.readUInt32BE(2 * KEY_BYTES),
  };
}

function withHeader(type: DiscoType, parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.of(type, 0), ...parts]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}
