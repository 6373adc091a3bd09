import type { SketchRule } from './source-sketch.ts';
import type { DoorCounts } from './door-counts.ts';
import type { DoorPlace } from './door-sockets.ts';
import type { UdpRelayLimits } from './limits.ts';
import type { Offload } from './offload.ts';
import type { StunQuery, StunSighting } from './stun-queries.ts';
import type { UdpRelaySettings } from './rules.ts';

/** What the UDP door is opened with; plain data, because it goes to a thread. */
export interface UdpDoorSettings {
  /** Where to listen, in the order in which they are numbered; `::` is IPv6 alone. */
  readonly places: readonly DoorPlace[];
  /** Whether a port that cannot be listened on is left out, as long as another one can. */
  readonly skipsTaken: boolean;
  readonly offload: Offload;
  readonly stun: {
    readonly limit: SketchRule | null;
    readonly generic: SketchRule | null;
    /** Prefixes that `limit` does not apply to. */
    readonly exempt: readonly string[];
  };
  /** Of the peer relay; null: STUN alone. */
  readonly rules: UdpRelaySettings | null;
  /** Endpoints that the rules have memory for. */
  readonly endpoints: number;
}

/** Told of what befalls an open door. None of the calls may throw. */
export interface UdpDoorListener {
  /** A place could not be listened on at the start and is left out. `error` has the words for the log. */
  skipped(place: DoorPlace, error: Error): void;
  /** A socket was lost, and is opened again as often as it takes. */
  lost(place: DoorPlace, error: Error): void;
  /** The first failure to open it again; null: it is open again. */
  reopened(place: DoorPlace, error: Error | null): void;
  /** The thread ended by a bug and was started again; all its endpoints are gone. */
  crashed(error: Error): void;
}

/** The door of everything that comes by UDP: STUN and the peer relay on the same ports. */
export interface UdpDoor {
  /** What receives and sends, for the log: `node:ffi`, `bun:ffi` or `datagrams`. */
  readonly how: string;
  /** Where it listens, with real ports, in the order of the settings. */
  readonly places: readonly DoorPlace[];
  readonly counts: DoorCounts;
  /** Gives the rules a message and resolves with their answer. Rejects once the door is closed. */
  command(message: unknown): Promise<unknown>;
  /** Has other limits from now on, also after a crash of the thread; without a peer relay there are none. */
  setLimits(limits: UdpRelayLimits): void;
  /** Stops or begins to answer STUN. */
  setSilent(isSilent: boolean): void;
  /** Sends queries to STUN servers; each answer goes to {@link onSighting}. What is lost is for the caller to repeat. */
  query(queries: readonly StunQuery[]): void;
  /** Told where a socket of the door was seen to send from. Must not throw. */
  onSighting: (sighting: StunSighting) => void;
  /** Has another offload from now on; without system calls there is none. */
  setOffload(offload: Offload): void;
  /** Closes all sockets; resolves when they are closed. */
  close(): Promise<void>;
}
