import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { SiblingSettings } from '../../../src/relay/mesh/addresses.ts';
import { sharedBoxKey } from '../../../src/wire/box.ts';
import { encodeFrame, encodeServerKey, FrameType } from '../../../src/wire/frames.ts';
import { encodeServerInfo } from '../../../src/wire/handshake.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../../src/wire/keys.ts';
import { encodePeerPresent } from '../../../src/wire/mesh-frames.ts';

/** The frame WatchConns. A relay first sends the upgrade request, ClientInfo and this frame. */
const WATCH = Buffer.from('1000000000', 'hex');
const HEAD_END = '\r\n\r\n';
const PRESENCE = { ip: '192.0.2.1', port: 1, flags: 1, app: '' };

/** Another relay of the region without TLS. Its correct or wrong behaviour is in the test. */
export class ScriptedSibling {
  readonly keyPair: NodeKeyPair = generateNodeKeyPair();
  /** Number of accepted connections. */
  connects = 0;
  /** Bytes after WatchConns on the latest connection, unless its script pauses it. */
  received: Buffer = Buffer.alloc(0);
  #port = 0;

  get entry(): SiblingSettings {
    return { name: `127.0.0.1:${this.#port}`, host: '127.0.0.1', port: this.#port, isSecure: false, pin: null };
  }

  /** Listens until the end of the test. `script` gets each connection of a relay after WatchConns, and after the own key was announced to it. */
  static async start(context: TestContext, script: (socket: Socket) => void): Promise<ScriptedSibling> {
    return ScriptedSibling.#listen(context, (sibling, socket) => sibling.#greet(socket, script));
  }

  /** The same, but `script` gets the connection before its first byte. */
  static async startRaw(context: TestContext, script: (socket: Socket) => void): Promise<ScriptedSibling> {
    return ScriptedSibling.#listen(context, (_sibling, socket) => script(socket));
  }

  static async #listen(
    context: TestContext,
    accepted: (sibling: ScriptedSibling, socket: Socket) => void,
  ): Promise<ScriptedSibling> {
    const sibling = new ScriptedSibling();
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sibling.connects++;
      sockets.add(socket);
      // The relay may end the connection during a write.
      socket.on('error', () => undefined);
      accepted(sibling, socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    sibling.#port = (server.address() as AddressInfo).port;
    context.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return sibling;
  }

  #greet(socket: Socket, script: (socket: Socket) => void): void {
    let bytes = Buffer.alloc(0);
    let isGreeted = false;
    let isWatched = false;
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (isWatched) {
        this.received = bytes;
        return;
      }
      const headEnd = bytes.indexOf(HEAD_END);
      if (!isGreeted && headEnd >= 0) {
        isGreeted = true;
        bytes = bytes.subarray(headEnd + HEAD_END.length);
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n');
        socket.write(encodeServerKey(this.keyPair.publicKey));
      }
      if (!isGreeted || bytes.length < 37 || bytes.length < 5 + bytes.readUInt32BE(1)) return;
      const infoEnd = 5 + bytes.readUInt32BE(1);
      const watcher = bytes.subarray(5, 37);
      const then = bytes.subarray(infoEnd);
      // On a busy machine, a Ping comes together with it.
      if (!then.subarray(0, WATCH.length).equals(WATCH)) {
        if (then.length === 0) this.#info(socket, watcher);
        return;
      }
      isWatched = true;
      this.received = bytes = then.subarray(WATCH.length);
      socket.write(encodePeerPresent(watcher, { ...PRESENCE, flags: 2 }));
      script(socket);
    });
  }

  #info(socket: Socket, watcher: Buffer): void {
    const sharedKey = sharedBoxKey(this.keyPair.privateKey, watcher);
    socket.write(encodeServerInfo({ sharedKey, bytesPerSecond: 0, burstBytes: 0 }));
  }
}

/** A PeerPresent frame of an ordinary client. */
export function presentFrame(key: Buffer): Buffer {
  return encodePeerPresent(key, PRESENCE);
}

/** A ForwardPacket frame. */
export function forwardFrame(source: Buffer, destination: Buffer, packet: Buffer): Buffer {
  return encodeFrame(FrameType.ForwardPacket, source, destination, packet);
}
