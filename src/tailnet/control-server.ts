import type { Environment } from '../transport/http/proxy-choice.ts';
import type { NodeKeyPair } from '../wire/keys.ts';

/** Where a control server is and who we are to it. */
export interface ControlServer {
  /** Of the configuration: `http:` or `https:`. */
  readonly url: URL;
  /** The capability version we say we have. */
  readonly version: number;
  readonly machine: NodeKeyPair;
  /** For DNS, TCP, TLS and both handshakes, each. */
  readonly timeoutMs: number;
  /** An authority that is trusted besides the usual ones, PEM. */
  readonly caPem: string | null;
  /** Where the proxy variables are. */
  readonly environment: Environment;
}
