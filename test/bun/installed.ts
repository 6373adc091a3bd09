import { findRuntime } from '../../src/cli/runtime.ts';

/** Path of the pinned Bun, or null if it is not installed: after `npm ci --omit=dev`, or on a system without a build of it. */
export const BUN: string | null = find();

/** Options of suites that need Bun. */
export const needsBun: { readonly skip: string | false } = { skip: BUN === null ? 'Bun is not installed' : false };

function find(): string | null {
  try {
    return findRuntime('bun');
  } catch {
    return null;
  }
}
