import { findRuntime } from '../../src/cli/runtime.ts';

/** The pinned Bun, or null where it was not installed: `npm ci --omit=dev`, or a system without a build of it. */
export const BUN: string | null = find();

/** For suites that need it. */
export const needsBun: { readonly skip: string | false } = { skip: BUN === null ? 'Bun is not installed' : false };

function find(): string | null {
  try {
    return findRuntime('bun');
  } catch {
    return null;
  }
}
