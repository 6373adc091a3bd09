import type { MessagePort } from 'node:worker_threads';
import type { DoorCounts } from './door-counts.ts';
import type { DoorPlace } from './door-places.ts';
import type { UdpDoorSettings } from './door.ts';
import type { Offload } from './offload.ts';
import type { StunQuery, StunSighting } from './stun-queries.ts';

/** Start data of the UDP thread. */
export interface UdpThreadData {
  readonly settings: UdpDoorSettings;
  readonly counts: DoorCounts;
  /** The descriptor that wakes the thread; the other side closes it after the thread has ended. */
  readonly wakeFd: number;
  readonly port: MessagePort;
}

/** A failed system call as plain data. */
export interface FailedCall {
  readonly call: string;
  readonly errno: number;
}

/** To the thread. */
export type ToUdpThread =
  | { readonly kind: 'command'; readonly id: number; readonly message: unknown }
  | { readonly kind: 'silent'; readonly isSilent: boolean }
  | { readonly kind: 'offload'; readonly offload: Offload }
  | { readonly kind: 'query'; readonly queries: readonly StunQuery[] }
  | { readonly kind: 'stop' };

/** From the thread. */
export type FromUdpThread =
  | { readonly kind: 'opened'; readonly places: readonly DoorPlace[] }
  /** A place cannot be listened on; with `isEnd`, the thread ends. */
  | { readonly kind: 'refused'; readonly place: DoorPlace; readonly failed: FailedCall; readonly isEnd: boolean }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'sighting'; readonly sighting: StunSighting }
  | { readonly kind: 'lost'; readonly place: DoorPlace; readonly failed: FailedCall }
  | { readonly kind: 'reopened'; readonly place: DoorPlace; readonly failed: FailedCall | null };
