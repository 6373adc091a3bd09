import {
  FrameType,
  KEY_BYTES,
  MAX_CLIENT_INFO_BYTES,
  MAX_PING_PAYLOAD_BYTES,
  MAX_SEND_PAYLOAD_BYTES,
  MIN_CLIENT_INFO_BYTES,
  PING_BYTES,
} from '../../wire/frames.ts';
import { MAX_FORWARD_PAYLOAD_BYTES, MIN_FORWARD_PAYLOAD_BYTES } from '../../wire/mesh-frames.ts';
import type { RefusalReason } from '../../observe/counters.ts';

/**
 * Checks the header of a frame of an admitted client. Returns null when it is allowed, otherwise why the connection
 * ends (protocol reference §2.3). `isMesh`: the client has sent the mesh key. The caller skips unknown types.
 */
export function judgeFrame(type: number, payloadBytes: number, isMesh: boolean): RefusalReason | null {
  switch (type) {
    case FrameType.SendPacket:
      return payloadBytes < KEY_BYTES || payloadBytes > MAX_SEND_PAYLOAD_BYTES ? 'bad_frame_length' : null;
    case FrameType.NotePreferred:
      return payloadBytes === 1 ? null : 'bad_frame_length';
    case FrameType.Ping:
      return payloadBytes < PING_BYTES || payloadBytes > MAX_PING_PAYLOAD_BYTES ? 'bad_frame_length' : null;
    case FrameType.ForwardPacket:
    case FrameType.WatchConns:
    case FrameType.ClosePeer:
      return isMesh ? judgeMeshFrame(type, payloadBytes) : 'no_mesh_rights';
    default:
      return payloadBytes > MAX_SEND_PAYLOAD_BYTES ? 'frame_too_large' : null;
  }
}

function judgeMeshFrame(type: number, payloadBytes: number): RefusalReason | null {
  let isRight: boolean;
  if (type === FrameType.WatchConns) isRight = payloadBytes === 0;
  else if (type === FrameType.ClosePeer) isRight = payloadBytes === KEY_BYTES;
  else isRight = payloadBytes >= MIN_FORWARD_PAYLOAD_BYTES && payloadBytes <= MAX_FORWARD_PAYLOAD_BYTES;
  return isRight ? null : 'bad_frame_length';
}

/** The same for the first frame, which must be ClientInfo (§2.3). */
export function judgeFirstFrame(type: number, payloadBytes: number): RefusalReason | null {
  if (type !== FrameType.ClientInfo) return 'client_info_type';
  return payloadBytes < MIN_CLIENT_INFO_BYTES || payloadBytes > MAX_CLIENT_INFO_BYTES ? 'client_info_length' : null;
}
