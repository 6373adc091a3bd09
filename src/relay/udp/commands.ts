import type { AllocationRefusal } from './endpoints.ts';
import type { NodeTraffic } from './node-traffic.ts';
import type { UdpRelayLimits } from './limits.ts';
import type { SnapshotChoice, UdpRelaySnapshot } from './snapshot.ts';
import type { UdpRelayState } from './state.ts';

/**
 * Commands of the main thread to the rules, and their answers: plain data, as a message port delivers it (a Buffer as a
 * Uint8Array). Each answer has the `id` of its question.
 */
export type UdpRelayCommand =
  | {
      readonly kind: 'allocate';
      readonly id: number;
      readonly clientKeys: readonly [Uint8Array, Uint8Array];
      readonly askingKey: Uint8Array;
      readonly node: string;
      readonly otherNode: string | null;
      /** The rates of both nodes; absent: the common rate. */
      readonly rates?: readonly NodeRate[];
    }
  /** Sets the rates of these nodes. Unknown nodes are ignored. No answer. */
  | { readonly kind: 'rates'; readonly rates: readonly NodeRate[] }
  /** Ends all endpoints of these nodes. No answer. */
  | { readonly kind: 'revoke'; readonly nodes: readonly string[] }
  /** Sets other limits. No answer. */
  | { readonly kind: 'limits'; readonly limits: UdpRelayLimits }
  | ({ readonly kind: 'snapshot'; readonly id: number } & SnapshotChoice)
  /** Asks what each node has sent and received since the last such command. */
  | { readonly kind: 'traffic'; readonly id: number }
  | { readonly kind: 'export'; readonly id: number };

/** The rate of a node, instead of the common limit. */
export interface NodeRate {
  readonly node: string;
  /** 0: no limit; null: the common limit. */
  readonly bytesPerSecond: number | null;
}

/** What the relay tells a client about its endpoint. */
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
