import type { z } from 'zod';
import { MAX_PACKET_FRAME_BYTES } from '../../wire/frames.ts';
import { key, optionalKey, section } from './fields.ts';
import { integer, type Value } from './values.ts';

/** Limits that protect the relay and its other clients from one client. */
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
  'Limits that keep one peer from harming the others. The defaults are right for nearly all relays.',
  {
    tlsHandshakeMs: key(
      milliseconds(),
      10_000,
      'Milliseconds that the TLS handshake may take, counted from the TCP connection.',
    ),
    requestHeadMs: key(milliseconds(), 10_000, 'Milliseconds within which the head of an HTTP request must arrive.'),
    requestHeadBytes: key(integer(1024, 65_536, 'bytes'), 8192, 'Largest head of an HTTP request, in bytes.'),
    derpHandshakeMs: key(
      milliseconds(),
      10_000,
      'Milliseconds that the DERP handshake may take, counted from the upgrade.',
    ),
    writeDeadlineMs: key(
      milliseconds(),
      20_000,
      'Milliseconds after which a connection is closed that reads none of the bytes queued for it. A slow one that reads some stays open.',
    ),
    queueBytes: key(
      integer(MAX_PACKET_FRAME_BYTES, 1_073_741_824, 'bytes'),
      262_144,
      'Bytes of packets that are queued for one connection at most; when the queue is full, the oldest packets are dropped.',
    ),
    discoQueueBytes: key(
      integer(2048, 1_073_741_824, 'bytes'),
      32_768,
      'Bytes of disco (path discovery) packets that are queued for one connection at most; they are sent before other packets.',
    ),
    totalQueueBytes: key(
      integer(MAX_PACKET_FRAME_BYTES, Number.MAX_SAFE_INTEGER, 'bytes'),
      268_435_456,
      'Bytes of memory for the queues of all connections together. When it runs short, each queue gets less, but always room for one packet of the largest size.',
    ),
    queueMs: key(
      milliseconds(),
      1000,
      'Milliseconds that a packet may wait in a queue. It is dropped at the latest after this time, and never before half of it.',
    ),
    readBudgetBytes: key(
      integer(1024, 16_777_216, 'bytes'),
      65_536,
      'Bytes that the relay reads from one connection before it reads from the others.',
    ),
    keepAliveSeconds: key(integer(5, 3600, 'seconds'), 60, 'Seconds between keep-alive frames to a client.'),
    connections: key(
      integer(1, 10_000_000),
      20_000,
      'Largest number of open connections. Beyond it, the relay closes one whose client is not admitted yet, from the address that has the most. The limit of open files may be lower; the log says so.',
    ),
    connectionsPerSource: key(
      integer(0, 10_000_000),
      5000,
      'Largest number of open connections from one IPv4 address or one IPv6 /64 network that is not in `sources.exempt`; 0 means no limit.',
    ),
    handshakes: key(
      integer(0, 10_000_000),
      4096,
      'Largest number of connections whose client is not admitted yet, including HTTP. Beyond it, the relay closes the oldest one of the address that has the most. From half of it on, each connection gets less time, down to 2 seconds. 0 means no limit.',
    ),
    handshakesPerSource: key(
      integer(0, 10_000_000),
      1024,
      'The same for one IPv4 address or one IPv6 /64 network that is not in `sources.exempt`. An IPv6 /48 network has at most a quarter of `handshakes`. 0 means no limit.',
    ),
    memoryMegabytes: optionalKey(
      integer(0, 10_000_000, 'megabytes'),
      'Megabytes of memory beyond which the relay accepts no more connections; 0 means no limit. What counts is the memory that connections and their queues need, and the memory of the process only as far as they explain it.',
      { computed: '85 % of the memory of the container or the machine' },
    ),
    connectionsPerKey: key(
      integer(2, 10_000),
      16,
      'Largest number of connections with the same node key, for example of a cloned machine. Beyond it, the relay closes the oldest one.',
    ),
    contactsPerClient: key(
      integer(16, 1_000_000),
      4096,
      'Largest number of peers that the relay remembers for each client, to send it PeerGone when one of them leaves.',
    ),
    httpConnections: key(
      integer(1, 1_000_000),
      1000,
      'Largest number of open HTTP connections, neither DERP nor WebSocket. Beyond it, the relay closes the one that has been idle longest, from the address that has the most.',
    ),
  },
  { flags: false },
);

function milliseconds(): Value<number> {
  return integer(100, 600_000, 'milliseconds');
}
