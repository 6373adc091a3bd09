import { DROP_REASON_NAMES, DropReason } from '../../observe/counters.ts';
import { RouteResult } from '../routing/router.ts';

/** Packets and bytes of payloads, without keys and headers. */
export interface TrafficTotals {
  /** What the client has sent, delivered or not. */
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
  /** Number of the connection in its relay, from 1. */
  readonly number: number;
  /** The relay thread of the connection; absent for the main thread. */
  readonly thread?: number;
  /** The proved node key in hex; null before that. */
  readonly key: string | null;
  /** True when the handshake is done and the connection is not ending. */
  readonly isOpen: boolean;
  readonly ip: string;
  readonly port: number;
  /** True when a proxy has named this address. */
  readonly isBehindProxy: boolean;
  readonly isWebSocket: boolean;
  /** Milliseconds since the upgrade. */
  readonly ageMs: number;
  /** The name of the client's program; empty when it sent none. */
  readonly app: string;
  /** The name of the source that admitted it; empty when every client is admitted. */
  readonly admittedBy: string;
  /** The name of the key's tier; empty when it has none. */
  readonly tier: string;
  /** True when this relay is the client's home. */
  readonly isHome: boolean;
  /** True when the client has sent the mesh key. */
  readonly isMesh: boolean;
  /** True when other connections have the same key. */
  readonly isDuplicate: boolean;
  /** Bytes that wait to be written, headers included. */
  readonly queuedBytes: number;
}

/** Packets of one session that were dropped, by reason. */
class Drops {
  queueHead = 0;
  unknownDestination = 0;
  duplicateClient = 0;
  goneDisconnected = 0;
}

/** Counts the packets of one session in plain fields, so that a packet costs only some additions. */
export class Traffic {
  #sentPackets = 0;
  #sentBytes = 0;
  #receivedPackets = 0;
  #receivedBytes = 0;
  /** Null before the first. */
  #drops: Drops | null = null;
  /** The totals when {@link take} gave something last; null before that. */
  #taken: TrafficTotals | null = null;

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

  /** A packet to the client was dropped, because it took too few. */
  droppedFromQueue(): void {
    (this.#drops ??= new Drops()).queueHead++;
  }

  /** Returns the traffic since the last call; null when there was none. */
  take(): TrafficTotals | null {
    const before = this.#taken ?? NO_TRAFFIC;
    if (this.#sentPackets === before.sentPackets && this.#receivedPackets === before.receivedPackets) return null;
    const totals = this.#totals();
    this.#taken = totals;
    return {
      receivedPackets: totals.receivedPackets - before.receivedPackets,
      receivedBytes: totals.receivedBytes - before.receivedBytes,
      sentPackets: totals.sentPackets - before.sentPackets,
      sentBytes: totals.sentBytes - before.sentBytes,
    };
  }

  /** Returns the counts since the start of the session, for the status page. */
  counts(): TrafficCounts {
    const { unknownDestination, duplicateClient, goneDisconnected, queueHead } = this.#drops ?? NO_DROPS;
    const drops = [
      [DropReason.UnknownDestination, unknownDestination],
      [DropReason.DuplicateClient, duplicateClient],
      [DropReason.GoneDisconnected, goneDisconnected],
      [DropReason.QueueHead, queueHead],
    ] as const;
    return {
      ...this.#totals(),
      drops: Object.fromEntries(drops.map(([reason, count]) => [DROP_REASON_NAMES[reason]!, count])),
    };
  }

  #totals(): TrafficTotals {
    return {
      receivedPackets: this.#receivedPackets,
      receivedBytes: this.#receivedBytes,
      sentPackets: this.#sentPackets,
      sentBytes: this.#sentBytes,
    };
  }

  #dropped(result: RouteResult): void {
    const drops = (this.#drops ??= new Drops());
    if (result === RouteResult.Unknown || result === RouteResult.NotHere) drops.unknownDestination++;
    else if (result === RouteResult.AllDisabled) drops.duplicateClient++;
    else drops.goneDisconnected++;
  }
}

const NO_DROPS: Readonly<Drops> = new Drops();
const NO_TRAFFIC: TrafficTotals = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0 };
