import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createNodeTransport } from '../../src/transport/node/index.ts';
import { transportContract } from './contract.ts';

describe('Node transport, fast read where there is one', { timeout: 110_000 }, () => {
  transportContract(createNodeTransport({ fastRead: true }));
});

describe('Node transport features', () => {
  it('says that the fast read is off when asked', () => {
    assert.deepEqual(createNodeTransport({ fastRead: false }).features, ['fast-read: off']);
  });

  it('finds the fast read', () => {
    assert.deepEqual(createNodeTransport({ fastRead: true }).features, ['fast-read: on']);
  });
});
