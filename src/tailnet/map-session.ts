import { formatNodeKey } from '../wire/keys.ts';
import type { Clock } from '../base/clock.ts';
import type { ControlConnection } from './control-connection.ts';
import { ControlError } from './control-error.ts';
import { formatDiscoKey } from './key-text.ts';
import { MapFrames } from './map-frames.ts';
import { readMapResponse, type MapResponse } from './map-response.ts';
import { checkStatus, type Registrant } from './registration.ts';

const PATH = '/machine/map';
const TIMEOUT_MS = 30_000;
/** Largest answer to an update. It is read and ignored. */
const UPDATE_BYTES = 1024 * 1024;
/** A server sends a frame each 50 to 60 s. Only whole frames count: a proxy may keep a dead stream open for hours (§15.4). */
const SILENCE_MS = 120_000;
const COMPRESSION = 'zstd';

/** Publishes the facts about this node (peer-relay reference §15.1 a). */
export async function publish(connection: ControlConnection, who: Registrant): Promise<void> {
  const body = { ...requestOf(who), Stream: false, OmitPeers: true };
  const answer = await connection.request(PATH, body, { timeoutMs: TIMEOUT_MS, limitBytes: UPDATE_BYTES });
  checkStatus(answer, PATH, null);
}

/** Options for following a map stream. */
export interface FollowOptions {
  readonly clock: Clock;
  /** The longest frame, in bytes. */
  readonly mapBytes: number;
  /** Called with each frame; throws to end the stream. */
  readonly frame: (response: MapResponse) => void;
  readonly signal: AbortSignal;
}

/** Follows the map stream (§15.1 b) until it ends; always rejects, with a {@link ControlError} in most cases. */
export function follow(connection: ControlConnection, who: Registrant, options: FollowOptions): Promise<never> {
  const { clock, mapBytes, frame, signal } = options;
  const frames = new MapFrames(COMPRESSION, mapBytes);
  const body = { ...requestOf(who), Stream: true, KeepAlive: true, OmitPeers: false };
  let lastFrameAt = clock.now;
  let status = 0;
  let retryAfter: string | undefined;
  let refusal = Buffer.alloc(0);
  return new Promise((_resolve, reject) => {
    const end = connection.stream(PATH, body, {
      head: (code, after) => {
        status = code;
        retryAfter = after;
      },
      data: (chunk) => {
        if (status !== 200) {
          refusal = Buffer.concat([refusal, chunk.subarray(0, UPDATE_BYTES - refusal.length)]);
          return;
        }
        frames.push(chunk, (json) => {
          lastFrameAt = clock.now;
          frame(readMapResponse(json));
        });
      },
      ended: (error) => {
        leaveClock();
        signal.removeEventListener('abort', aborted);
        reject(error ?? failureOf({ status, retryAfter, body: refusal }));
      },
    });
    const leaveClock = clock.onTick((now) => {
      if (now - lastFrameAt > SILENCE_MS)
        end(new ControlError('unreachable', `the control server sent no frame for ${SILENCE_MS / 1000} s`));
    });
    const aborted = (): void => end(new ControlError('unreachable', 'stopped'));
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
  });
}

function failureOf(answer: { status: number; retryAfter: string | undefined; body: Buffer }): Error {
  try {
    checkStatus(answer, PATH, null);
  } catch (error) {
    return error as Error;
  }
  return new ControlError('unreachable', 'the control server ended the map stream');
}

function requestOf({ state, version, hostinfo }: Registrant): object {
  return {
    Version: version,
    NodeKey: formatNodeKey(state.node.publicKey),
    DiscoKey: formatDiscoKey(state.disco.publicKey),
    Hostinfo: hostinfo,
    Endpoints: [],
    EndpointTypes: [],
    Compress: COMPRESSION,
  };
}
