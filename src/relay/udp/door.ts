import type { SketchRule } from './source-sketch.ts';
import type { DoorCounts } from './door-counts.ts';
import type { DoorPlace } from './door-places.ts';
import type { UdpRelayLimits } from './limits.ts';
import type { Offload } from './offload.ts';
import type { StunQuery, StunSighting } from './stun-queries.ts';
import type { UdpRelaySettings } from './rules.ts';

/** Start settings of the UDP door; plain data, because it goes to a thread. */
export interface UdpDoorSettings {
  /** Where to listen, in the order in which they are numbered. Inherited sockets come first. */
  readonly places: readonly DoorPlace[];
  /** True: a port that cannot be opened is skipped, if another one can be opened. */
  readonly skipsTaken: boolean;
  readonly offload: Offload;
  readonly stun: {
    readonly limit: SketchRule | null;
    readonly generic: SketchRule | null;
    /** Prefixes that `limit` does not apply to. */
    readonly exempt: readonly string[];
  };
  /** Settings of the peer relay; null: STUN only. */
  readonly rules: UdpRelaySettings | null;
  /** Endpoints that the rules have memory for. */
  readonly endpoints: number;
}

/** Receives the events of an open door. No call may throw. */
export interface UdpDoorListener {
  /** A place could not be opened at the start and is skipped. `error` has the text for the log. */
  skipped(place: DoorPlace, error: Error): void;
  /** A socket was lost. It is opened again, with as many attempts as needed. */
  lost(place: DoorPlace, error: Error): void;
  /** These addresses of the machine have no socket of their own: they may be answered from another address. */
  missing(addresses: readonly string[], port: number, reason: string): void;
  /** The first failure to open it again; null: it is open again. */
  reopened(place: DoorPlace, error: Error | null): void;
  /** The thread ended by a bug and was started again; all its endpoints are gone. */
  crashed(error: Error): void;
}

/** The door of all UDP traffic: STUN and the peer relay on the same ports. */
export interface UdpDoor {
  /** The adapter that receives and sends, for the log: `node:ffi`, `bun:ffi` or `datagrams`. */
  readonly how: string;
  /** Where it listens, with real ports, in the order of the settings. */
  readonly places: readonly DoorPlace[];
  readonly counts: DoorCounts;
  /** Gives the rules a message and resolves with their answer. Rejects once the door is closed. */
  command(message: unknown): Promise<unknown>;
  /** Sets other limits, which stay after a crash of the thread. Without a peer relay it does nothing. */
  setLimits(limits: UdpRelayLimits): void;
  /** Stops or starts answers to STUN. */
  setSilent(isSilent: boolean): void;
  /**
   * Sends queries to STUN servers; each answer goes to {@link onSighting}. The caller repeats queries that were lost.
   */
  query(queries: readonly StunQuery[]): void;
  /** Called with the address that a STUN server has seen for a socket of the door. Must not throw. */
  onSighting: (sighting: StunSighting) => void;
  /** Sets another offload. A door without system calls has none. */
  setOffload(offload: Offload): void;
  /** Closes all sockets; resolves when they are closed. */
  close(): Promise<void>;
}
