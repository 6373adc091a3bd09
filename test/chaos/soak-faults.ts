import { randomBytes } from 'node:crypto';
import type { RefusalReason } from '../../src/observe/counters.ts';
import { encodeFrame, FrameType } from '../../src/wire/frames.ts';
import { pause, type RawPeer, untilEnded, type World } from './soak-world.ts';

/** A kind of misbehaviour, and the reason under which the relay must count it; null when it is not a refusal. */
export interface Fault {
  readonly name: string;
  readonly reason: RefusalReason | null;
  /** Resolves when the relay has ended the connection; rejects when it does not. */
  readonly act: (world: World) => Promise<void>;
}

/** Longer than the time in which the relay waits for the answer to its FIN, in milliseconds. */
const NO_FIN_MS = 5000;
/** Time after which the relay has read the earlier bytes, in milliseconds. */
const MOMENT_MS = 500;
const UNKNOWN_TYPE = 0x7f;
const HUGE_FRAME = Buffer.of(UNKNOWN_TYPE, 0x7f, 0xff, 0xff, 0xff);
const NOT_HTTP = 'this is no HTTP\r\n\r\n';
/** A header that announces more bytes than follow. */
const CUT_FRAME: Buffer = encodeFrame(FrameType.SendPacket, Buffer.alloc(1000)).subarray(0, 300);

/** Bytes instead of TLS. The first byte is not that of a TLS record. */
function garbage(bytes: number): Buffer {
  const all = randomBytes(bytes);
  all[0] = 0x41;
  return all;
}

async function afterTls(world: World, act: (peer: RawPeer) => void): Promise<void> {
  const peer = await world.tls();
  act(peer);
  await untilEnded(peer.tls);
}

async function afterUpgrade(world: World, act: (peer: RawPeer) => void): Promise<void> {
  const peer = await world.upgraded();
  act(peer);
  await untilEnded(peer.tls);
}

/** Reads the last bytes of the relay, and never closes. */
async function withoutFin(peer: RawPeer, bytes: Uint8Array | string): Promise<void> {
  peer.tls.pause();
  peer.tls.write(bytes);
  await pause(NO_FIN_MS);
  peer.tcp.resetAndDestroy();
}

async function afterHandshake(world: World, frame: Buffer): Promise<void> {
  let gone = (): void => undefined;
  const ended = new Promise<void>((resolve) => (gone = resolve));
  const client = await world.client({ handler: { closed: () => gone() } });
  client.sendFrame(frame);
  const late = pause(NO_FIN_MS * 2).then(() => client.isOpen);
  const isOpen = await Promise.race([ended.then(() => false), late]);
  client.abort();
  if (isOpen) throw new Error('the relay keeps a connection after a frame that clients may not send');
}

/** All kinds, in their order. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'garbage instead of TLS',
    reason: 'tls_error',
    act: async (world) => {
      const socket = await world.tcp();
      socket.write(garbage(300));
      await untilEnded(socket);
    },
  },
  { name: 'silence instead of TLS', reason: 'tls_timeout', act: async (world) => untilEnded(await world.tcp()) },
  {
    name: 'TCP reset at once',
    reason: null,
    act: async (world) => {
      world.ledger.mayCause('tls_closed');
      (await world.tcp()).resetAndDestroy();
    },
  },
  {
    name: 'TCP reset a moment later',
    reason: 'tls_closed',
    act: async (world) => {
      const socket = await world.tcp();
      await pause(MOMENT_MS);
      socket.resetAndDestroy();
    },
  },
  { name: 'silence after TLS', reason: 'head_timeout', act: (world) => afterTls(world, () => undefined) },
  {
    name: 'reset after TLS',
    reason: 'head_closed',
    act: async (world) => {
      const { tcp } = await world.tls();
      // In TLS 1.3 this side finishes first, and a reset overtakes bytes that the relay has not read yet.
      await pause(MOMENT_MS);
      tcp.resetAndDestroy();
    },
  },
  { name: 'FIN after TLS', reason: 'head_closed', act: (world) => afterTls(world, ({ tls }) => tls.end()) },
  {
    name: 'garbage after TLS',
    reason: 'head_invalid',
    act: (world) => afterTls(world, ({ tls }) => void tls.write(NOT_HTTP)),
  },
  {
    name: 'garbage after TLS, FIN not answered',
    reason: 'head_invalid',
    act: async (world) => withoutFin(await world.tls(), NOT_HTTP),
  },
  {
    name: 'endless head',
    reason: 'head_too_large',
    act: (world) => afterTls(world, ({ tls }) => void tls.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(9000)}`)),
  },
  {
    name: 'a page',
    reason: null,
    act: (world) =>
      afterTls(world, ({ tls }) => void tls.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')),
  },
  {
    name: 'WebSocket without a key',
    reason: 'websocket_invalid',
    act: (world) =>
      afterTls(
        world,
        ({ tls }) =>
          void tls.write(
            'GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
              'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: derp\r\n\r\n',
          ),
      ),
  },
  {
    name: 'silence after the upgrade',
    reason: 'handshake_timeout',
    act: (world) => afterUpgrade(world, () => undefined),
  },
  {
    name: 'reset after the upgrade',
    reason: 'handshake_closed',
    act: (world) => afterUpgrade(world, ({ tcp }) => tcp.resetAndDestroy()),
  },
  {
    name: 'FIN after the upgrade',
    reason: 'handshake_closed',
    act: (world) => afterUpgrade(world, ({ tls }) => tls.end()),
  },
  {
    name: 'another first frame',
    reason: 'client_info_type',
    act: (world) => afterUpgrade(world, ({ tls }) => void tls.write(encodeFrame(FrameType.Ping, Buffer.alloc(8)))),
  },
  {
    name: 'another first frame, FIN not answered',
    reason: 'client_info_type',
    act: async (world) => withoutFin(await world.upgraded(), garbage(600)),
  },
  {
    name: 'a short ClientInfo',
    reason: 'client_info_length',
    act: (world) => afterUpgrade(world, ({ tls }) => void tls.write(encodeFrame(FrameType.ClientInfo, randomBytes(9)))),
  },
  {
    name: 'a ClientInfo that does not open',
    reason: 'client_info_box',
    act: (world) =>
      afterUpgrade(world, ({ tls }) => void tls.write(encodeFrame(FrameType.ClientInfo, randomBytes(200)))),
  },
  {
    name: 'a SendPacket without a key',
    reason: 'bad_frame_length',
    act: (world) => afterHandshake(world, encodeFrame(FrameType.SendPacket, Buffer.alloc(9))),
  },
  { name: 'a huge frame', reason: 'frame_too_large', act: (world) => afterHandshake(world, HUGE_FRAME) },
  {
    name: 'a mesh frame',
    reason: 'no_mesh_rights',
    act: (world) => afterHandshake(world, encodeFrame(FrameType.WatchConns)),
  },
  {
    name: 'reset within a frame',
    reason: null,
    act: async (world) => {
      const client = await world.client();
      client.sendFrame(CUT_FRAME);
      client.abort();
    },
  },
];
