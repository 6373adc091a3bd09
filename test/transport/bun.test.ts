import { describe } from 'node:test';
import { createBunTransport } from '../../src/transport/bun/index.ts';
import { transportContract } from './contract.ts';

const isBun = 'bun' in process.versions;

describe('Bun transport', { timeout: 60_000, skip: !isBun }, () => {
  if (isBun) transportContract(createBunTransport());
});
