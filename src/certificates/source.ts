/**
 * The certificate of the relay: self-signed with a pin (`self-signed-source.ts`), from files (`file-source.ts`) or by
 * ACME (`acme/`). Each source finds or makes it, renews it in time, and tells its listeners of a new one. This file is
 * their common interface; `open.ts` chooses one by the configuration.
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
  /** Number of certificates after it in the file; absent when there is none. */
  readonly behindLeaf?: number;
  /** The announced next certificate, or null. */
  readonly next: NextCertificate | null;
  /** Its issuer as text for people, unless it is self-signed or from a file. */
  readonly origin?: string;
  /** True for a temporary certificate until the real one is issued. Clients should not pin it. */
  readonly provisional?: boolean;
}

/** The answers to the challenges of a certificate authority. */
export interface ChallengeAnswers {
  /** Returns the answer to an HTTP-01 challenge, or null when the token is not one of ours. */
  readonly httpResponse: (token: string) => string | null;
  /** The certificate for a client with server name `serverName` and ALPN `acme-tls/1`, or null. Absent where it is not needed. */
  readonly alpnCertificate?: ((serverName: string) => CertificatePair | null) | undefined;
  /**
   * Calls `listener` with each new certificate of {@link alpnCertificate}, and with null when it is removed; returns a
   * function that unsubscribes.
   */
  readonly onAlpnChange?: (listener: AlpnListener) => () => void;
}

/** Receives the certificate that answers a challenge for a server name. */
export type AlpnListener = (serverName: string, pair: CertificatePair | null) => void;

/** A source of the server's certificate. */
export interface CertificateSource {
  current(): CertificatePair;
  /** Calls `listener` with each new pair; returns a function that unsubscribes. */
  onChange(listener: (pair: CertificatePair) => void): () => void;
  info(): CertificateInfo;
  /** Absent when no authority sends challenges. */
  readonly challenges?: ChallengeAnswers | undefined;
  /** Reads the files now, even if they seem unchanged, and logs the result. Never throws. */
  reload(): void;
  /** Stops looking for new certificates. */
  stop(): void;
}

/** Receives a problem that makes the relay not ready; null when it is solved. */
export interface HealthReport {
  set(name: string, problem: string | null): unknown;
}
