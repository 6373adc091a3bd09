/** A client that has proved its node key and asks to be admitted. */
export interface AdmissionRequest {
  /** Raw node key, 32 bytes. Copy it to keep it. */
  readonly key: Buffer;
  /** IP address of the client. */
  readonly ip: string;
  /** Whether the connection has ended: then it stops waiting for a source. */
  readonly isOver?: (() => boolean) | undefined;
}

/** The decision. A refusal is a value, not an exception. `reason` is for the log; the client only sees the connection close. */
export type AdmissionVerdict =
  /** `source` is the name of the source that admitted the client; undefined when everyone is admitted. */
  | { readonly admitted: true; readonly source?: string }
  | { readonly admitted: false; readonly source: string; readonly reason: string };

/** Decides which clients may use the relay. */
export interface Admission {
  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict>;
}

/** Yes. */
export const ADMITTED: AdmissionVerdict = { admitted: true };
