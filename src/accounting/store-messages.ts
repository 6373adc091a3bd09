import type { TrafficRow, UsedBytes } from './traffic-store.ts';

/** The start data of the store's thread. */
export interface StoreThreadData {
  /** The file of the store. */
  readonly path: string;
}

/** Requests of the main thread to the store. */
export type StoreRequest =
  | { readonly kind: 'add'; readonly rows: readonly TrafficRow[]; readonly forgetBefore: string | null }
  | { readonly kind: 'used'; readonly day: string }
  | { readonly kind: 'close' };

/** The request with its number, which the answer repeats. */
export interface NumberedRequest {
  readonly id: number;
  readonly request: StoreRequest;
}

/** `error` is SQLite's message; null when it is done. */
export interface StoreAnswer {
  readonly id: number;
  readonly error: string | null;
  readonly used: readonly UsedBytes[];
}
