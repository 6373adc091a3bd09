/**
 * The certificate of the relay: self-signed with a pin (`self-signed-source.ts`), from files (`file-source.ts`) or by ACME
 * (`acme/`). Each source finds or makes it, renews it in time, and tells its listeners of a new one. This file is what the
 * rest of the program knows of all of them; `open.ts` chooses one by the configuration.
 */
/** A private key and a certificate chain, both PEM; the shape that the transport port takes. */
export interface CertificatePair {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A certificate that is ready and takes over at an announced time. */
export interface NextCertificate {
  readonly pinSha256: string;
  readonly from: Date;
}

/** Facts about the certificate in use, for metrics, the status page and the DERP map. */
export interface CertificateInfo {
  /** DNS names in lower case and canonical IPs. */
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Lowercase hex SHA-256 of the leaf's DER. */
  readonly pinSha256: string;
  /** True when clients can only verify it by its pin. */
  readonly selfSigned: boolean;
  /** How many more certificates are in the file behind it; absent where there is none. */
  readonly behindLeaf?: number;
  /** Null unless a planned renewal is under way. */
  readonly next: NextCertificate | null;
  /** Who issued it, where that is neither the relay itself nor a file: for people. */
  readonly origin?: string;
  /** True while it only stands in for one that is being obtained, so that nobody should pin it. */
  readonly provisional?: boolean;
}

/** What proves names to a certificate authority. */
export interface ChallengeAnswers {
  /** The answer to an HTTP-01 challenge, or null when the token is not one of ours. */
  readonly httpResponse: (token: string) => string | null;
  /** The certificate for a client with server name `serverName` and ALPN `acme-tls/1`, or null. Absent where it is not needed. */
  readonly alpnCertificate?: ((serverName: string) => CertificatePair | null) | undefined;
  /**
   * Calls `listener` with each certificate that {@link alpnCertificate} gives from now on, and with null when it does not any
   * more; returns a function that unsubscribes.
   */
  readonly onAlpnChange?: (listener: AlpnListener) => () => void;
}

/** Told of the certificate that answers a challenge for a server name. */
export type AlpnListener = (serverName: string, pair: CertificatePair | null) => void;

/** Where the server's certificate comes from, and how it hears of a new one. */
export interface CertificateSource {
  current(): CertificatePair;
  /** Calls `listener` with each new pair; returns a function that unsubscribes. */
  onChange(listener: (pair: CertificatePair) => void): () => void;
  info(): CertificateInfo;
  /** Absent where no authority asks for a proof. */
  readonly challenges?: ChallengeAnswers | undefined;
  /** Reads the files now, whether they seem changed or not, and says in the log what it found. Never throws. */
  reload(): void;
  /** Looks for nothing new from now on. */
  stop(): void;
}

/** The part of a pino logger that is used here. */
export interface CertificateLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The part of the process clock that is used here. */
export interface TickingClock {
  readonly now: number;
  onTick(listener: (now: number) => void, everyMs?: number): () => void;
}

/** Where problems are reported that keep the relay from being ready; null: all is well. */
export interface HealthReport {
  set(name: string, problem: string | null): unknown;
}
