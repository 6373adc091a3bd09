import { randomBytes } from 'node:crypto';
import type { GrantedEndpoint } from '../../../src/relay/udp/commands.ts';
import { decodeDiscoMessage, DiscoType, encodeDiscoMessage } from '../../../src/wire/disco-messages.ts';
import type { HandshakeMessage } from '../../../src/wire/disco-messages.ts';
import { openDisco, sealDisco, sharedDiscoKey } from '../../../src/wire/disco.ts';
import { GENEVE_BYTES, GeneveProtocol, writeGeneveHeader } from '../../../src/wire/geneve.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../../src/wire/keys.ts';

type Granted = Pick<GrantedEndpoint, 'vni' | 'serverDisco'>;

/** A client of a peer relay without sockets: makes the packets of a handshake and reads challenges. */
export class RelayPeer {
  readonly keys: NodeKeyPair;

  constructor(keys: NodeKeyPair = generateNodeKeyPair()) {
    this.keys = keys;
  }

  /** Makes a control packet; `change` replaces its fields. */
  control(
    type: HandshakeMessage['type'],
    endpoint: Granted,
    remote: RelayPeer,
    change: Partial<HandshakeMessage> & { headerVni?: number; key?: NodeKeyPair } = {},
  ): Buffer {
    const { headerVni = endpoint.vni, key = this.keys, ...rest } = change;
    const plain = {
      type,
      vni: endpoint.vni,
      generation: 1,
      remoteKey: remote.keys.publicKey,
      challenge: Buffer.alloc(32),
    };
    const shared = sharedDiscoKey(key.privateKey, Buffer.from(endpoint.serverDisco))!;
    return withHeader(headerVni, sealDisco(key, shared, encodeDiscoMessage({ ...plain, ...rest })), true);
  }

  bind(endpoint: Granted, remote: RelayPeer, generation = 1): Buffer {
    return this.control(DiscoType.Bind, endpoint, remote, { generation });
  }

  /** Makes the answer to a challenge; `challengePacket` is its datagram. */
  answer(endpoint: Granted, remote: RelayPeer, challengePacket: Uint8Array): Buffer {
    const { generation, challenge } = this.challengeIn(endpoint, challengePacket);
    return this.control(DiscoType.Answer, endpoint, remote, { generation, challenge });
  }

  /** Opens a challenge; throws an Error if it is not one for this client. */
  challengeIn(endpoint: Granted, packet: Uint8Array): HandshakeMessage {
    const shared = sharedDiscoKey(this.keys.privateKey, Buffer.from(endpoint.serverDisco))!;
    const plain = openDisco(shared, Buffer.from(packet).subarray(GENEVE_BYTES));
    const message = plain && decodeDiscoMessage(plain);
    if (message?.type !== DiscoType.Challenge) throw new Error('this is no challenge');
    return message;
  }
}

/** Makes a datagram of data; a number is a length of random bytes. */
export function data(vni: number, payload: Uint8Array | number = 100): Buffer {
  return withHeader(vni, typeof payload === 'number' ? randomBytes(payload) : payload, false);
}

function withHeader(vni: number, payload: Uint8Array, isControl: boolean): Buffer {
  const header = Buffer.alloc(GENEVE_BYTES);
  writeGeneveHeader(header, 0, vni, isControl ? GeneveProtocol.Disco : GeneveProtocol.WireGuard, isControl);
  return Buffer.concat([header, payload]);
}
