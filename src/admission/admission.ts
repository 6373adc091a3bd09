/** A node that asks to be let in, after it proved its key. */
export interface AdmissionRequest {
  /** Raw node key, 32 bytes; not to be kept without a copy. */
  readonly key: Buffer;
  /** Where it comes from. */
  readonly ip: string;
  /** Whether the connection has ended: then it gives up its place among those that wait for a source. */
  readonly isOver?: (() => boolean) | undefined;
}

/** Expected refusals are values, not exceptions. `reason` is for our log; the node only sees the connection close. */
export type AdmissionVerdict =
  /** `source` is the name of the source that said yes; undefined when everyone is let in. */
  | { readonly admitted: true; readonly source?: string }
  | { readonly admitted: false; readonly source: string; readonly reason: string };

/** Decides who may come in. */
export interface Admission {
  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict>;
}

/** Yes. */
export const ADMITTED: AdmissionVerdict = { admitted: true };
