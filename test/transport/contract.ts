/**
 * The tests for every adapter of the transport port; they run inside the adapter's own runtime (`node --test`, `bun test`).
 */
import type { Transport } from '../../src/transport/port.ts';
import { bytesContract } from './contract-bytes.ts';
import { challengeContract } from './contract-challenge.ts';
import { closingContract } from './contract-closing.ts';
import { connectContract } from './contract-connect.ts';
import { datagramContract } from './contract-datagram.ts';
import { duplexContract } from './contract-duplex.ts';
import { handshakeContract } from './contract-handshake.ts';
import { listenContract } from './contract-listen.ts';
import { brokenProxyContract, proxyContract } from './contract-proxy.ts';
import { readOnlyContract } from './contract-read-only.ts';
import { refusedResourcesContract, streamResourcesContract } from './contract-resources.ts';

/** Declares all tests of the contract for one transport. */
export function transportContract(transport: Transport): void {
  streamContract(transport);
  handshakeContract(transport);
  listenContract(transport);
  brokenProxyContract(transport);
  challengeContract(transport);
  connectContract(transport);
  datagramContract(transport);
  refusedResourcesContract(transport);
}

/** The tests of open streams, for a transport that differs only in how it reads. */
export function streamContract(transport: Transport): void {
  bytesContract(transport);
  closingContract(transport);
  proxyContract(transport);
  duplexContract(transport);
  readOnlyContract(transport);
  streamResourcesContract(transport);
}
