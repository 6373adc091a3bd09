import {
  agree,
  INITIATION_BYTES,
  INITIATION_HEADER_BYTES,
  NoiseError,
  type NoiseKeys,
  NoiseMessage,
  RESPONSE_BODY_BYTES,
  SymmetricState,
} from '../../src/tailnet/noise.ts';
import { KEY_BYTES } from '../../src/wire/frames.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';

const TAG_BYTES = 16;
const EMPTY = Buffer.alloc(0);

/** The data that a server reads from an initiation, and its answer. */
interface NoiseAcceptance {
  readonly version: number;
  /** The client's machine key, 32 bytes. */
  readonly machineKey: Buffer;
  /** 51 bytes, header included. */
  readonly response: Buffer;
  readonly keys: NoiseKeys;
}

/** The server's side of the handshake. Throws a {@link NoiseError} when the initiation is not for `server`. */
export function respond(
  initiation: Buffer,
  server: NodeKeyPair,
  ephemeral: NodeKeyPair = generateNodeKeyPair(),
): NoiseAcceptance {
  if (initiation.length !== INITIATION_BYTES || initiation[2] !== NoiseMessage.Initiation)
    throw new NoiseError('this is no initiation');
  const version = initiation.readUInt16BE(0);
  const state = new SymmetricState(version, server.publicKey);
  const theirs = initiation.subarray(INITIATION_HEADER_BYTES, INITIATION_HEADER_BYTES + KEY_BYTES);
  state.mixHash(theirs);
  state.mixKey(agree(server, theirs));
  const machineEnd = INITIATION_BYTES - TAG_BYTES;
  const machineKey = Buffer.from(
    state.openAndHash(initiation.subarray(INITIATION_HEADER_BYTES + KEY_BYTES, machineEnd)),
  );
  state.mixKey(agree(server, machineKey));
  state.openAndHash(initiation.subarray(machineEnd));
  state.mixHash(ephemeral.publicKey);
  state.mixKey(agree(ephemeral, theirs));
  state.mixKey(agree(ephemeral, machineKey));
  const header = Buffer.from([NoiseMessage.Response, 0, RESPONSE_BODY_BYTES]);
  const response = Buffer.concat([header, ephemeral.publicKey, state.sealAndHash(EMPTY)]);
  return { version, machineKey, response, keys: state.split() };
}
