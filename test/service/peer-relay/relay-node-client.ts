import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { decodeDiscoMessage, DiscoType, encodeDiscoMessage } from '../../../src/wire/disco-messages.ts';
import type { AllocateResponse, DiscoMessage } from '../../../src/wire/disco-messages.ts';
import { discoSender, openDisco, sealDisco, sharedDiscoKey } from '../../../src/wire/disco.ts';
import { GENEVE_BYTES, GeneveProtocol, isGeneveControl, writeGeneveHeader } from '../../../src/wire/geneve.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../../src/wire/keys.ts';
import type { RelayEndpoint } from '../../../src/wire/relay-endpoint.ts';
import { RelayPeer } from '../../relay/udp/relay-peer.ts';

/** Shares of datagrams that the network loses or changes, from 0 to 1. */
export interface Faults {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
}

export const NO_FAULTS: Faults = { lost: 0, doubled: 0, late: 0 };

/** A node of a tailnet as the peer relay sees it: a DERP client with a disco key and a UDP socket on a bad network. */
export class RelayNodeClient {
  readonly nodeKeys: NodeKeyPair;
  readonly peer: RelayPeer;
  faults: Faults = NO_FAULTS;
  derp: DerpClient | null = null;
  /** Called for each received payload. */
  onData: (data: Buffer) => void = () => {};
  #socket: Socket | null = null;
  #endpoint: RelayEndpoint | null = null;
  #other: RelayNodeClient | null = null;
  #generation = 0;
  #relayPort = 0;
  #held: Buffer | null = null;
  #onDisco: (source: Buffer, packet: Buffer) => void = () => {};
  #onChallenge: (packet: Buffer) => void = () => {};
  #onPong: (transactionId: Buffer) => void = () => {};
  readonly #random: () => number;

  /** `seed` determines the behaviour of the network. Without keys, new ones are made. */
  constructor(seed: number, keys: { readonly nodeKeys?: NodeKeyPair; readonly peer?: RelayPeer } = {}) {
    this.nodeKeys = keys.nodeKeys ?? generateNodeKeyPair();
    this.peer = keys.peer ?? new RelayPeer();
    let state = seed;
    this.#random = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  /** The address that it sends from. */
  get port(): number {
    return this.#socket!.address().port;
  }

  /** Changes its address: datagrams to the old one are lost. */
  async move(): Promise<void> {
    this.#socket?.close();
    const socket = createSocket('udp4');
    socket.on('message', (datagram) => this.#receive(datagram));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    this.#socket = socket;
  }

  close(): void {
    this.#socket?.close();
    this.#socket = null;
  }

  /** The handler for the DERP client. */
  packet(source: Buffer, buffer: Buffer, from: number, to: number): void {
    const packet = Buffer.from(buffer.subarray(from, to));
    if (discoSender(packet) === null) this.onData(packet);
    else this.#onDisco(Buffer.from(source), packet);
  }

  /** Asks the relay for an endpoint with `other` until it answers; returns undefined after `tries`. */
  async allocate(
    other: RelayNodeClient,
    relay: { readonly nodeKey: Buffer; readonly discoKey: Buffer },
    tries = 5,
  ): Promise<AllocateResponse | undefined> {
    const shared = sharedDiscoKey(this.peer.keys.privateKey, relay.discoKey)!;
    const clientKeys = [this.peer.keys.publicKey, other.peer.keys.publicKey] as const;
    const plain = encodeDiscoMessage({ type: DiscoType.AllocateRequest, clientKeys, generation: 77 });
    for (let i = 0; i < tries; i++) {
      const answered = new Promise<AllocateResponse>((resolve) => {
        this.#onDisco = (source, packet) => {
          const sealed = source.equals(relay.nodeKey) && discoSender(packet)?.equals(relay.discoKey) === true;
          const opened = sealed ? openDisco(shared, packet) : null;
          const message = opened && decodeDiscoMessage(opened);
          if (message?.type === DiscoType.AllocateResponse && message.generation === 77) resolve(message);
        };
      });
      this.derp!.send(relay.nodeKey, sealDisco(this.peer.keys, shared, plain));
      const answer = await Promise.race([answered, pause(1000)]);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  /** Uses an endpoint, which another client may have asked for. */
  use(endpoint: RelayEndpoint, other: RelayNodeClient): void {
    this.#endpoint = endpoint;
    this.#other = other;
    this.#relayPort = endpoint.addresses[0]!.port;
  }

  /** Makes one handshake; each of its datagrams may be lost. */
  async bind(): Promise<void> {
    const endpoint = this.#endpoint!;
    const challenged = new Promise<Buffer>((resolve) => (this.#onChallenge = resolve));
    this.#send(this.peer.bind(endpoint, this.#other!.peer, ++this.#generation));
    const challenge = await Promise.race([challenged, pause(200)]);
    if (challenge !== undefined) this.#send(this.peer.answer(endpoint, this.#other!.peer, challenge));
  }

  /** Returns whether a pong arrives through the relay in time. */
  async ping(waitMs = 200): Promise<boolean> {
    const transactionId = Buffer.from(Array.from({ length: 12 }, () => Math.floor(this.#random() * 256)));
    const ponged = new Promise<boolean>((resolve) => {
      this.#onPong = (id) => {
        if (id.equals(transactionId)) resolve(true);
      };
    });
    this.#sendDisco({ type: DiscoType.Ping, transactionId, nodeKey: null });
    return Promise.race([ponged, pause(waitMs, false)]);
  }

  /** Sends data through the relay. */
  sendData(data: Uint8Array): void {
    this.#send(this.#framed(data, GeneveProtocol.WireGuard));
  }

  #sendDisco(message: DiscoMessage): void {
    const shared = sharedDiscoKey(this.peer.keys.privateKey, this.#other!.peer.keys.publicKey)!;
    this.#send(this.#framed(sealDisco(this.peer.keys, shared, encodeDiscoMessage(message)), GeneveProtocol.Disco));
  }

  #framed(payload: Uint8Array, protocol: GeneveProtocol): Buffer {
    const header = Buffer.alloc(GENEVE_BYTES);
    writeGeneveHeader(header, 0, this.#endpoint!.vni, protocol, false);
    return Buffer.concat([header, payload]);
  }

  #send(datagram: Buffer): void {
    const { lost, doubled, late } = this.faults;
    const chance = this.#random();
    if (chance < lost) return;
    if (chance < lost + late && this.#held === null) {
      this.#held = datagram;
      return;
    }
    this.#transmit(datagram);
    if (chance > 1 - doubled) this.#transmit(datagram);
    // The delayed datagram is sent after a later one.
    if (this.#held !== null) this.#transmit(this.#held);
    this.#held = null;
  }

  #transmit(datagram: Buffer): void {
    this.#socket?.send(datagram, this.#relayPort, '127.0.0.1', () => {
      // A missing relay is part of the test.
    });
  }

  #receive(datagram: Buffer): void {
    if (isGeneveControl(datagram, 0)) {
      this.#onChallenge(datagram);
      return;
    }
    const payload = datagram.subarray(GENEVE_BYTES);
    if (datagram.readUInt16BE(2) === GeneveProtocol.WireGuard) {
      this.onData(payload);
      return;
    }
    const shared = sharedDiscoKey(this.peer.keys.privateKey, this.#other!.peer.keys.publicKey)!;
    const opened = openDisco(shared, payload);
    const message = opened && decodeDiscoMessage(opened);
    if (message?.type === DiscoType.Pong) this.#onPong(message.transactionId);
    if (message?.type === DiscoType.Ping) {
      this.#sendDisco({ type: DiscoType.Pong, transactionId: message.transactionId, ip: '127.0.0.1', port: 1 });
    }
  }
}
