import type { AllocationRefusal } from './endpoints.ts';
import type { NodeTraffic } from './node-traffic.ts';
import type { UdpRelayLimits } from './limits.ts';
import type { SnapshotChoice, UdpRelaySnapshot } from './snapshot.ts';
import type { UdpRelayState } from './state.ts';

/**
 * What the main thread says to the rules, and what they answer: plain data, as it comes out of a message port (a Buffer as
 * a Uint8Array). Each answer has the `id` of its question.
 */
export type UdpRelayCommand =
  | {
      readonly kind: 'allocate';
      readonly id: number;
      readonly clientKeys: readonly [Uint8Array, Uint8Array];
      readonly askingKey: Uint8Array;
      readonly node: string;
      readonly otherNode: string | null;
      /** What both may send; absent: as all others. */
      readonly rates?: readonly NodeRate[];
    }
  /** What these nodes may send from now on. Nodes that are not known are left out. No answer. */
  | { readonly kind: 'rates'; readonly rates: readonly NodeRate[] }
  /** Ends all endpoints of these nodes. No answer. */
  | { readonly kind: 'revoke'; readonly nodes: readonly string[] }
  /** Other limits from now on. No answer. */
  | { readonly kind: 'limits'; readonly limits: UdpRelayLimits }
  | ({ readonly kind: 'snapshot'; readonly id: number } & SnapshotChoice)
  /** What each node has sent and received since the last such command. */
  | { readonly kind: 'traffic'; readonly id: number }
  | { readonly kind: 'export'; readonly id: number };

/** What a node may send, in place of the limit that all have. */
export interface NodeRate {
  readonly node: string;
  /** 0: no limit; null: as all others. */
  readonly bytesPerSecond: number | null;
}

/** What a client is told of its endpoint. */
export interface GrantedEndpoint {
  readonly serverDisco: Uint8Array;
  /** In ascending order. */
  readonly clientKeys: readonly [Uint8Array, Uint8Array];
  readonly lamportId: number;
  readonly vni: number;
  readonly bindLifetimeMs: number;
  readonly steadyLifetimeMs: number;
}

export type UdpRelayAnswer =
  | { readonly kind: 'granted'; readonly id: number; readonly endpoint: GrantedEndpoint }
  | { readonly kind: 'refused'; readonly id: number; readonly reason: AllocationRefusal }
  | { readonly kind: 'snapshot'; readonly id: number; readonly snapshot: UdpRelaySnapshot }
  | { readonly kind: 'traffic'; readonly id: number; readonly nodes: readonly NodeTraffic[] }
  | { readonly kind: 'exported'; readonly id: number; readonly state: UdpRelayState };
