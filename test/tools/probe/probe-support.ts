import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { Command } from 'commander';
import { registerProbe } from '../../../src/cli/probe.ts';

/** Folder for a test file; it is removed after the tests. */
export const directory: string = mkdtempSync(join(tmpdir(), 'towpath-probe-'));
after(() => rmSync(directory, { recursive: true }));

/** Runs `towpath probe`; returns its output and its exit code. */
export async function probe(...args: string[]): Promise<{ out: string; code: number }> {
  let out = '';
  const program = new Command()
    .exitOverride()
    .configureOutput({ writeOut: (text) => (out += text), writeErr: () => undefined });
  registerProbe(program);
  try {
    await program.parseAsync(['probe', ...args], { from: 'user' });
    return { out, code: Number(process.exitCode ?? 0) };
  } finally {
    // Bun does not take undefined.
    process.exitCode = 0;
  }
}

/** Returns the line of a step, and the fix below it. */
export function step(out: string, label: string): string {
  const lines = out.split('\n');
  const at = lines.findIndex((line) => line.slice(4).startsWith(label));
  assert.notEqual(at, -1, `no step "${label}" in\n${out}`);
  const next = lines[at + 1]!;
  return next.includes('→') ? `${lines[at]!}\n${next}` : lines[at]!;
}
