import type { RefusalReason } from '../../observe/counters.ts';
import type { ClientLimits } from '../fairness/client-limits.ts';

/** A client that has proved its node key and asks to be admitted. */
export interface AdmissionRequest {
  /** Raw node key, 32 bytes. Copy it to keep it. */
  readonly key: Buffer;
  /** IP address of the client. */
  readonly ip: string;
  /** Returns whether the connection has ended. Waiting for a source then stops. */
  readonly isOver?: (() => boolean) | undefined;
}

/**
 * The decision, as plain data. A refusal is a value, not an exception. `reason` is for the log; the client only sees the
 * connection close.
 */
export type AdmissionVerdict =
  /**
   * `source` is the name of the source that admitted the client; undefined when every client is admitted. Without
   * `limits`, the limits of all keys apply.
   */
  | { readonly admitted: true; readonly source?: string; readonly limits?: ClientLimits | undefined }
  /** Counted as `refusal`, by default as `not_admitted`. */
  | {
      readonly admitted: false;
      readonly source: string;
      readonly reason: string;
      readonly refusal?: RefusalReason | undefined;
    };

/** Decides which clients may use the relay. */
export interface Admission {
  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict>;
}

/** Admits the client, with the limits of all keys. */
export const ADMITTED: AdmissionVerdict = { admitted: true };
