import {
  decodeDiscoMessage,
  DiscoType,
  encodeDiscoMessage,
  type DiscoMessage,
} from '../../../src/wire/disco-messages.ts';
import { DISCO_ENVELOPE_BYTES, discoSender, openDisco, sealDisco, sharedDiscoKey } from '../../../src/wire/disco.ts';
import {
  GENEVE_BYTES,
  GeneveProtocol,
  geneveVni,
  isGeneve,
  isGeneveControl,
  writeGeneveHeader,
} from '../../../src/wire/geneve.ts';
import {
  encodeBindingRequest,
  isBindingRequest,
  isTailnodeRequest,
  parseBindingResponse,
} from '../../../src/wire/stun.ts';
import { createDoorCounts } from '../../../src/relay/udp/door-counts.ts';
import { ADDRESS_WORDS } from '../../../src/relay/udp/port.ts';
import { writeAddress } from '../../../src/relay/udp/side-address.ts';
import { looksLikeStun, StunAnswers } from '../../../src/relay/udp/stun-answers.ts';
import * as vector from '../../wire/peer-relay-vectors.ts';
import { check, type Target } from './target.ts';
import { writeStunResponse } from '../../wire/stun-response.ts';

const { clientA, clientB, serverDisco } = vector;
const SHARED = sharedDiscoKey(serverDisco.privateKey, clientA.publicKey)!;
/** Position of the nonce in a disco packet, after magic and key. */
const SEALED_FROM = 38;
/** Lengths of the longest answers, in bytes. */
const STUN_ANSWER_BYTES = { ipv4: 32, ipv6: 44 };

const MESSAGES: readonly DiscoMessage[] = [
  { type: DiscoType.Ping, transactionId: Buffer.alloc(12, 1), nodeKey: clientA.publicKey },
  { type: DiscoType.Pong, transactionId: Buffer.alloc(12, 2), ip: '192.0.2.1', port: 1 },
  ...[DiscoType.Bind, DiscoType.Challenge, DiscoType.Answer].map((type) => ({
    type,
    vni: 1,
    generation: 2,
    remoteKey: clientB.publicKey,
    challenge: vector.CHALLENGE,
  })),
  { type: DiscoType.AllocateRequest, clientKeys: [clientA.publicKey, clientB.publicKey], generation: 3 },
  ...[1, 8].map((count): DiscoMessage => {
    const addresses = Array.from({ length: count }, (_, i) => ({
      ip: i % 2 === 0 ? '192.0.2.1' : '2001:db8::1',
      port: i,
    }));
    const [serverKey, clientKeys] = [serverDisco.publicKey, [clientA.publicKey, clientB.publicKey]] as const;
    const life = { bindLifetimeMs: 30_000, steadyLifetimeMs: 300_000 };
    const endpoint = { serverDisco: serverKey, clientKeys, lamportId: 1n, vni: 1, ...life, addresses };
    if (count === 1) return { type: DiscoType.CallMeMaybeVia, endpoint };
    return { type: DiscoType.AllocateResponse, generation: 4, endpoint };
  }),
];

/** The header of 8 bytes before every payload over UDP. */
const geneve: Target = {
  name: 'geneve',
  samples: [
    vector.BIND_UDP.subarray(0, 12),
    Buffer.from('00007a1200000500', 'hex'),
    Buffer.from('00007a1100000500ff', 'hex'),
  ],
  feed(input, random) {
    const from = random.below(input.length + 1);
    if (!isGeneve(input, from, input.length)) return;
    const written = Buffer.alloc(GENEVE_BYTES);
    const protocol = input.readUInt16BE(from + 2) as GeneveProtocol;
    writeGeneveHeader(written, 0, geneveVni(input, from), protocol, isGeneveControl(input, from));
    check(written.equals(input.subarray(from, from + GENEVE_BYTES)), 'a header that is accepted is written the same');
    check(!isGeneveControl(input, from) || protocol === GeneveProtocol.Disco, 'a control packet is disco');
    check(!looksLikeStun(input, from, input.length), 'nothing is both Geneve and STUN');
  },
};

/** Disco packets as they come over DERP or behind a Geneve header: the envelope and the NaCl box. */
const envelope: Target = {
  name: 'disco envelope and NaCl box',
  samples: [
    vector.BIND_UDP.subarray(GENEVE_BYTES),
    vector.ALLOCATE_REQUEST,
    ...MESSAGES.map((message) => sealDisco(clientA, SHARED, encodeDiscoMessage(message))),
  ],
  feed(input) {
    const sender = discoSender(input);
    check(sender === null || sender.length === 32, 'a key has 32 bytes');
    const opened = openDisco(SHARED, input);
    if (opened === null) return;
    check(opened.length === input.length - DISCO_ENVELOPE_BYTES, 'a message is shorter by its envelope');
    // The magic and the sender's key are not sealed; all other bytes are.
    const sealed = input.subarray(SEALED_FROM);
    check(
      envelope.samples.some((sample) => sample.subarray(SEALED_FROM).equals(sealed)),
      'a changed box does not open',
    );
  },
};

const messages: Target = {
  name: 'disco messages',
  samples: MESSAGES.map(encodeDiscoMessage),
  feed(input) {
    const message = decodeDiscoMessage(input);
    if (message === null) return;
    const again = decodeDiscoMessage(encodeDiscoMessage(message));
    check(again !== null && json(again) === json(message), 'a message that is accepted survives encoding');
    if (message.type === DiscoType.AllocateResponse || message.type === DiscoType.CallMeMaybeVia)
      check(message.endpoint.addresses.length > 0, 'an endpoint has an address');
  },
};

const answers = new StunAnswers(createDoorCounts(), {
  limit: null,
  generic: { perSecond: 1e9, burst: 1e9, siteFactor: 1 },
});
const words = new Int32Array(ADDRESS_WORDS);
const answer = Buffer.alloc(256);

const stun: Target = {
  name: 'STUN',
  samples: [
    encodeBindingRequest(Buffer.alloc(12, 5)),
    Buffer.from('000100002112a442000102030405060708090a0b', 'hex'),
    Buffer.from('000100082112a442000102030405060708090a0b8022000474657374', 'hex'),
    ...['192.0.2.1', '2001:db8::1'].map((ip) => {
      const response = Buffer.alloc(64);
      return Buffer.from(
        response.subarray(0, writeStunResponse(response, encodeBindingRequest(Buffer.alloc(12, 6)), 0, ip, 7)),
      );
    }),
  ],
  feed(input, random) {
    const from = random.once(2) ? 0 : random.below(input.length + 1);
    parseBindingResponse(input, from, input.length);
    const isStrict = isTailnodeRequest(input, from, input.length);
    const isRequest = isBindingRequest(input, from, input.length);
    const isIpv4 = random.once(2);
    writeAddress(words, 0, isIpv4 ? '192.0.2.9' : '2001:db8::9', 1 + random.below(65_535));
    const length = answers.answer(answer, input, from, input.length, words, 0);
    check(length === 0 || isStrict || isRequest, 'only a request is answered');
    check(
      length <= (isIpv4 ? STUN_ANSWER_BYTES.ipv4 : STUN_ANSWER_BYTES.ipv6),
      'an answer has one address and nothing else',
    );
    // In the protocol, an IPv6 answer has 44 bytes and a client's request 40.
    if (isStrict && isIpv4)
      check(length <= input.length - from, 'no answer to a Tailscale client is larger than its request');
  },
};

/** Decoders of datagrams and of disco packets. */
export const WIRE_TARGETS: readonly Target[] = [geneve, envelope, messages, stun];

function json(message: DiscoMessage): string {
  return JSON.stringify(message, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
