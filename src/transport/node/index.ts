import { setFlagsFromString } from 'node:v8';
import type { Transport } from '../port.ts';
import { connect } from './connect.ts';
import { bindDatagram } from './datagram.ts';
import { detectFastRead } from './fast-read.ts';
import { listen } from './listener.ts';

/** The figure of docs/performance.md for idle connections, rounded up. */
const CONNECTION_BYTES = 48 * 1024;

/** Options of {@link createNodeTransport}. */
export interface NodeTransportOptions {
  /**
   * False reads by 'data' events, even where the faster way exists. True by default, unless `TOWPATH_FAST_READ=off`.
   */
  readonly fastRead?: boolean;
}

/** Node's sockets behind the transport port. */
export function createNodeTransport(options: NodeTransportOptions = {}): Transport {
  const wanted = options.fastRead ?? process.env['TOWPATH_FAST_READ'] !== 'off';
  const fastRead = wanted ? detectFastRead() : null;
  const state = fastRead !== null ? 'on' : wanted ? 'not available' : 'off';
  return {
    runtime: 'node',
    features: [`fast-read: ${state}`],
    connectionBytes: CONNECTION_BYTES,
    prepareServer,
    listen: (where, handler) => listen(where, handler, fastRead),
    connect: (where, handler) => connect(where, handler, fastRead),
    bindDatagram,
  };
}

/**
 * Keeps the space for young objects at its first size. Otherwise it grows to 48 MiB while connections come, which does
 * not help the relay: its packets are not objects. Saves 4 KiB for each of 9,000 idle connections, at no cost in
 * throughput (docs/performance.md).
 */
function prepareServer(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
