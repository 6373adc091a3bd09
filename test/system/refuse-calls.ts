/**
 * Installs a seccomp filter in this process: chosen system calls then fail with a chosen error, in this thread and in threads
 * that it starts later. A filter cannot be removed, so only child processes of tests use it.
 */
import { Arena } from '../../src/system/arena.ts';
import type { SystemCalls } from '../../src/system/port.ts';

/** The numbers of the calls on x86-64 and on arm64. */
const NUMBERS = {
  recvmmsg: [299, 243],
  sendmmsg: [307, 269],
  eventfd: [290, 19],
  poll: [7, 73],
} as const;

/** A call that a filter can refuse. */
export type RefusedCall = keyof typeof NUMBERS;

const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const FAIL_WITH = 0x00050000;

/** Makes `call` fail with `errno` for the rest of this process. Throws an Error when the kernel refuses the filter. */
export async function refuseCalls(
  calls: SystemCalls,
  rules: Readonly<Partial<Record<RefusedCall, number>>>,
): Promise<void> {
  const steps: [code: number, ifTrue: number, ifFalse: number, value: number][] = [[LOAD_WORD, 0, 0, 0]];
  for (const [call, errno] of Object.entries(rules) as [RefusedCall, number][]) {
    steps.push([JUMP_IF_EQUAL, 0, 1, NUMBERS[call][process.arch === 'x64' ? 0 : 1]]);
    steps.push([RETURN, 0, 0, FAIL_WITH | errno]);
  }
  steps.push([RETURN, 0, 0, ALLOW]);
  const arena = new Arena(calls, 4096);
  const [program, filter] = [arena.reserve(16), arena.reserve(steps.length * 8)];
  arena.bytes.writeUInt16LE(steps.length, program);
  arena.storeAddress(program + 8, filter);
  for (const [i, [code, ifTrue, ifFalse, value]] of steps.entries()) {
    const at = filter + i * 8;
    arena.bytes.writeUInt16LE(code, at);
    arena.bytes[at + 2] = ifTrue;
    arena.bytes[at + 3] = ifFalse;
    arena.bytes.writeUInt32LE(value, at + 4);
  }
  const prctl = await loadPrctl();
  const address = BigInt(arena.pointer(program));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0) throw new Error('prctl refuses PR_SET_NO_NEW_PRIVS');
  if (prctl(PR_SET_SECCOMP, BigInt(SECCOMP_MODE_FILTER), address, 0n, 0n) !== 0) throw new Error('no seccomp filter');
  arena.release();
}

type Prctl = (option: number, a: bigint, b: bigint, c: bigint, d: bigint) => number;

async function loadPrctl(): Promise<Prctl> {
  if ('bun' in process.versions) {
    const { dlopen } = await import('bun:ffi');
    const { symbols } = dlopen('libc.so.6', { prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' } });
    return symbols.prctl as Prctl;
  }
  const { dlopen } = process.getBuiltinModule('node:ffi') as unknown as {
    dlopen: (library: null, functions: object) => { functions: { prctl: Prctl } };
  };
  const signature = { arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'], return: 'int32' };
  return dlopen(null, { prctl: signature }).functions.prctl;
}
