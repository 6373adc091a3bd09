import { describe } from 'node:test';
import { createNodeTransport } from '../../src/transport/node/index.ts';
import { streamContract } from './contract.ts';

// Only the reading of open streams differs; the tests of handshakes and listeners are in node.test.ts.
describe("Node transport, 'data' events", { timeout: 110_000 }, () => {
  streamContract(createNodeTransport({ fastRead: false }));
});
