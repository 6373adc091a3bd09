import type { z } from 'zod';
import { MAX_PACKET_FRAME_BYTES } from '../../wire/frames.ts';
import { key, optionalKey, section } from './fields.ts';
import { integer, type Value } from './values.ts';

/** Bounds that keep one peer from costing the others. */
export interface LimitsConfig {
  readonly tlsHandshakeMs: number;
  readonly requestHeadMs: number;
  readonly requestHeadBytes: number;
  readonly derpHandshakeMs: number;
  readonly writeDeadlineMs: number;
  readonly queueBytes: number;
  readonly discoQueueBytes: number;
  readonly totalQueueBytes: number;
  readonly queueMs: number;
  readonly readBudgetBytes: number;
  readonly keepAliveSeconds: number;
  readonly connections: number;
  /** 0: no limit. */
  readonly connectionsPerSource: number;
  readonly handshakes: number;
  readonly handshakesPerSource: number;
  /** Undefined: a part of what the machine or the container has; 0: no limit. */
  readonly memoryMegabytes?: number | undefined;
  readonly connectionsPerKey: number;
  readonly contactsPerClient: number;
  readonly httpConnections: number;
}

export const limits: z.ZodType<LimitsConfig> = section(
  'Bounds that keep one peer from costing the others. The defaults are meant to be left alone.',
  {
    tlsHandshakeMs: key(
      milliseconds(),
      10_000,
      'Milliseconds from the TCP connection to the end of the TLS handshake.',
    ),
    requestHeadMs: key(milliseconds(), 10_000, 'Milliseconds that a request head may take to arrive.'),
    requestHeadBytes: key(integer(1024, 65_536, 'bytes'), 8192, 'Bytes that a request head may have.'),
    derpHandshakeMs: key(milliseconds(), 10_000, 'Milliseconds from the upgrade to the end of the DERP handshake.'),
    writeDeadlineMs: key(
      milliseconds(),
      20_000,
      'Milliseconds for which a connection may take none of the bytes that wait for it, before it is ended. A slow one that takes some is not.',
    ),
    queueBytes: key(
      integer(MAX_PACKET_FRAME_BYTES, 1_073_741_824, 'bytes'),
      262_144,
      'Bytes of packets that may wait for one connection; when full, the oldest are dropped.',
    ),
    discoQueueBytes: key(
      integer(2048, 1_073_741_824, 'bytes'),
      32_768,
      'Bytes of path-finding (disco) packets that may wait for one connection; they go before the others.',
    ),
    totalQueueBytes: key(
      integer(MAX_PACKET_FRAME_BYTES, Number.MAX_SAFE_INTEGER, 'bytes'),
      268_435_456,
      'Bytes of memory for what waits for all connections; when it gets scarce, less may wait for each, but always one largest packet.',
    ),
    queueMs: key(
      milliseconds(),
      1000,
      'Milliseconds that a packet may wait for one connection; then it is dropped, at the earliest after half of them.',
    ),
    readBudgetBytes: key(
      integer(1024, 16_777_216, 'bytes'),
      65_536,
      'Bytes that are read from one connection before the others have their turn.',
    ),
    keepAliveSeconds: key(integer(5, 3600, 'seconds'), 60, 'Seconds between two keep-alive frames to a client.'),
    connections: key(
      integer(1, 10_000_000),
      20_000,
      'Open streams in all. Beyond that, one whose client is not admitted yet makes room, of the source that holds most. The limit of open files may be lower; the log says so.',
    ),
    connectionsPerSource: key(
      integer(0, 10_000_000),
      5000,
      'Open streams from one IPv4 address or one IPv6 /64 network that is not in `sources.exempt`; 0 is no limit.',
    ),
    handshakes: key(
      integer(0, 10_000_000),
      4096,
      'Streams whose client is not admitted yet, and ordinary HTTP. Beyond that, the oldest one of the source that holds most makes room; from half of it on they get less and less time, down to 2 seconds. 0 is no limit.',
    ),
    handshakesPerSource: key(
      integer(0, 10_000_000),
      1024,
      'The same for one IPv4 address or one IPv6 /64 network that is not in `sources.exempt`, and for an IPv6 /48 network a quarter of `handshakes` at most; 0 is no limit.',
    ),
    memoryMegabytes: optionalKey(
      integer(0, 10_000_000, 'megabytes'),
      'Megabytes of memory in use beyond which there must not be more connections; 0 is no limit. Judged by what connections and their queues need, and by the memory of the process only while they explain it.',
      { computed: '85 % of what the container or the machine has' },
    ),
    connectionsPerKey: key(
      integer(2, 10_000),
      16,
      'Connections with one node key, for example of a machine that reconnects or was cloned; the oldest is ended for a new one.',
    ),
    contactsPerClient: key(
      integer(16, 1_000_000),
      4096,
      'Peers that are remembered for each client, to tell it when one of them has gone.',
    ),
    httpConnections: key(
      integer(1, 1_000_000),
      1000,
      'Open streams that are ordinary HTTP, neither DERP nor WebSocket. Beyond that, the one that is idle for longest makes room, of the source that holds most.',
    ),
  },
  { flags: false },
);

function milliseconds(): Value<number> {
  return integer(100, 600_000, 'milliseconds');
}
