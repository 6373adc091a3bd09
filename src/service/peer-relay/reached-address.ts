import type { SocketAddress } from '../../wire/relay-endpoint.ts';

/** An address at which a port of ours is reached from elsewhere, through a NAT or not. */
export interface ReachedAddress extends SocketAddress {
  /** The local port. */
  readonly localPort: number;
}
