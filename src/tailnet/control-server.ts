import type { Environment } from '../transport/http/proxy-choice.ts';
import type { NodeKeyPair } from '../wire/keys.ts';

/** A control server, and this node's identity towards it. */
export interface ControlServer {
  /** `http:` or `https:`, from the configuration. */
  readonly url: URL;
  /** The capability version that the node announces. */
  readonly version: number;
  readonly machine: NodeKeyPair;
  /** Time limit for each of DNS, TCP, TLS and both handshakes. */
  readonly timeoutMs: number;
  /** An authority to trust in addition to the usual ones, PEM. */
  readonly caPem: string | null;
  /** The environment with the proxy variables. */
  readonly environment: Environment;
}
