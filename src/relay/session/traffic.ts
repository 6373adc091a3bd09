import { DROP_REASON_NAMES, DropReason } from '../../observe/counters.ts';
import { RouteResult } from '../routing/router.ts';

/** Packets and bytes: payloads alone, without keys and headers. */
export interface TrafficTotals {
  /** What the client has sent, whatever became of it. */
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  /** What was written to the client. */
  readonly sentPackets: number;
  readonly sentBytes: number;
}

/** The same of one session, with what was dropped. */
interface TrafficCounts extends TrafficTotals {
  /** Packets that were dropped, by upstream's names: `queue_head` for those to the client, the others for those from it. */
  readonly drops: Readonly<Record<string, number>>;
}

/** One session as plain data, for the status page and the admin API. */
export interface SessionSnapshot extends TrafficCounts {
  /** Of this connection alone in its relay, from 1. */
  readonly number: number;
  /** The relay thread that it is in; absent for the main one. */
  readonly thread?: number;
  /** The proved node key in hex; null before that. */
  readonly key: string | null;
  /** The handshake is done and the connection is not ending. */
  readonly isOpen: boolean;
  readonly ip: string;
  readonly port: number;
  /** A proxy has named this address. */
  readonly isBehindProxy: boolean;
  readonly isWebSocket: boolean;
  /** Milliseconds since the upgrade. */
  readonly ageMs: number;
  /** The name of the client's program, empty when it gave none. */
  readonly app: string;
  /** The name of the admission source that let it in, empty when everyone is let in. */
  readonly admittedBy: string;
  /** The name of the tier of the key, empty when it is of none. */
  readonly tier: string;
  /** The client has this relay for its home. */
  readonly isHome: boolean;
  /** The client has shown the mesh key. */
  readonly isMesh: boolean;
  /** Other connections have the same key. */
  readonly isDuplicate: boolean;
  /** Bytes that wait to be written, headers included. */
  readonly queuedBytes: number;
}

/** Counts the packets of one session, in plain fields: a packet costs some additions. */
export class Traffic {
  /** Packets that were dropped because the client took too few. */
  queueHead = 0;
  #sentPackets = 0;
  #sentBytes = 0;
  #receivedPackets = 0;
  #receivedBytes = 0;
  #unknownDestination = 0;
  #duplicateClient = 0;
  #goneDisconnected = 0;
  /** What {@link take} has given so far. */
  #takenSentPackets = 0;
  #takenSentBytes = 0;
  #takenReceivedPackets = 0;
  #takenReceivedBytes = 0;

  /** A packet of `bytes` came from the client and was routed. */
  received(bytes: number, result: RouteResult): void {
    this.#receivedPackets++;
    this.#receivedBytes += bytes;
    if (result !== RouteResult.Taken) this.#dropped(result);
  }

  /** `packets` of together `bytes` were written. */
  sent(packets: number, bytes: number): void {
    this.#sentPackets += packets;
    this.#sentBytes += bytes;
  }

  /** What has come and gone since the last call; null when there was nothing. */
  take(): TrafficTotals | null {
    if (this.#sentPackets === this.#takenSentPackets && this.#receivedPackets === this.#takenReceivedPackets)
      return null;
    const news = {
      receivedPackets: this.#receivedPackets - this.#takenReceivedPackets,
      receivedBytes: this.#receivedBytes - this.#takenReceivedBytes,
      sentPackets: this.#sentPackets - this.#takenSentPackets,
      sentBytes: this.#sentBytes - this.#takenSentBytes,
    };
    this.#takenReceivedPackets = this.#receivedPackets;
    this.#takenReceivedBytes = this.#receivedBytes;
    this.#takenSentPackets = this.#sentPackets;
    this.#takenSentBytes = this.#sentBytes;
    return news;
  }

  counts(): TrafficCounts {
    const drops = [
      [DropReason.UnknownDestination, this.#unknownDestination],
      [DropReason.DuplicateClient, this.#duplicateClient],
      [DropReason.GoneDisconnected, this.#goneDisconnected],
      [DropReason.QueueHead, this.queueHead],
    ] as const;
    return {
      receivedPackets: this.#receivedPackets,
      receivedBytes: this.#receivedBytes,
      sentPackets: this.#sentPackets,
      sentBytes: this.#sentBytes,
      drops: Object.fromEntries(drops.map(([reason, count]) => [DROP_REASON_NAMES[reason]!, count])),
    };
  }

  #dropped(result: RouteResult): void {
    if (result === RouteResult.Unknown || result === RouteResult.NotHere) this.#unknownDestination++;
    else if (result === RouteResult.AllDisabled) this.#duplicateClient++;
    else this.#goneDisconnected++;
  }
}
