import type { RefusalReason } from '../../observe/counters.ts';
import type { ClientLimits } from '../fairness/client-limits.ts';

/** A client that has proved its node key and asks to be admitted. */
export interface AdmissionRequest {
  /** Raw node key, 32 bytes. Copy it to keep it. */
  readonly key: Buffer;
  /** IP address of the client. */
  readonly ip: string;
  /** Whether the connection has ended: then it stops waiting for a source. */
  readonly isOver?: (() => boolean) | undefined;
}

/**
 * The decision, as plain data. A refusal is a value, not an exception. `reason` is for the log; the client only sees the
 * connection close.
 */
export type AdmissionVerdict =
  /**
   * `source` is the name of the source that admitted the client; undefined when everyone is admitted. Without `limits`,
   * those apply that all keys have.
   */
  | { readonly admitted: true; readonly source?: string; readonly limits?: ClientLimits | undefined }
  /** It counts as `refusal`, `not_admitted` when that is left out. */
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

/** Yes. */
export const ADMITTED: AdmissionVerdict = { admitted: true };
