/**
 * The relay's interface to an ACME implementation (RFC 8555): five operations. Only `acme-client-library.ts` uses the
 * library, which is loaded when one of them is needed.
 */

/** How control of a name is proven. */
export type ChallengeType = 'http-01' | 'tls-alpn-01' | 'dns-01';

/** A DNS name or an IP that a certificate is for. */
export interface Identifier {
  readonly type: 'dns' | 'ip';
  readonly value: string;
}

/** One way to prove one identifier. */
export interface Challenge {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  /** The answer to publish: the key authorization, or its digest for dns-01. */
  readonly answer: string;
}

/** An identifier that must be proven. */
export interface Authorization {
  readonly url: string;
  readonly identifier: Identifier;
  readonly isValid: boolean;
  readonly challenges: readonly Challenge[];
}

/** The state of an order at the authority. */
export interface Order {
  readonly url: string;
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  readonly authorizations: readonly Authorization[];
}

export interface OrderRequest {
  readonly identifiers: readonly Identifier[];
  /** A certificate profile of the authority, or null for its default. */
  readonly profile: string | null;
  /** ARI identifier of the certificate that this one replaces (RFC 9773 §5), or null. */
  readonly replaces: string | null;
}

export interface AcmeClient {
  /** Creates an account for the key, or finds the existing one. Returns its URL. */
  register(): Promise<string>;
  order(request: OrderRequest): Promise<Order>;
  /** Reads an earlier order; null when it cannot be used any more. */
  resume(orderUrl: string): Promise<Order | null>;
  /** Tells the authority that the answer is published, and waits for the result. */
  prove(authorization: Authorization, challenge: Challenge): Promise<void>;
  /** Sends the certificate request and waits for the chain, PEM. All identifiers must be proven before. */
  finish(orderUrl: string, names: readonly string[], keyPem: string): Promise<string>;
}

/** Opens a client for one account. `accountUrl` null: {@link AcmeClient.register} comes first. */
export type OpenAcmeClient = (
  account: AcmeAccount,
  email: string | null,
  eab: ExternalAccount | null,
) => Promise<AcmeClient>;

export interface AcmeAccount {
  readonly keyPem: string;
  readonly accountUrl: string | null;
}

/** An account that the operator has with the authority already (RFC 8555 §7.3.4). */
export interface ExternalAccount {
  readonly keyId: string;
  readonly hmacKey: string;
}

/** The identifier for a name of the certificate. */
export function identifierOf(name: string, isIp: boolean): Identifier {
  return { type: isIp ? 'ip' : 'dns', value: name };
}
