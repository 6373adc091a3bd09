import { errorMessage } from '../base/errors.ts';
import { callsOf, ERRNO_BYTES, LIBC, type LibcFunctions, type Parameter } from './libc.ts';
import { createNoCalls } from './none.ts';
import type { Pointer, SystemCalls } from './port.ts';

/** What this adapter uses of `node:ffi`, which @types/node 24 does not have. */
interface NodeFfi {
  dlopen(
    library: null,
    functions: Readonly<Record<string, { readonly arguments: readonly string[]; readonly return: string }>>,
  ): { readonly functions: Readonly<Record<string, unknown>> };
  getRawPointer(buffer: ArrayBuffer): bigint;
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer;
}

/** The names of the types in `node:ffi`. */
const TYPES: Readonly<Record<Parameter, string>> = { i32: 'int32', u32: 'uint32', u64: 'uint64', ptr: 'pointer' };

/**
 * The calls of the data path. All their parameters are declared as pointers: Node 26.10 puts a function that checks
 * integers around any other signature, which allocates and takes 0.35 µs when there are more than three. An integer is a
 * whole register to C, in which it has the form of a bigint here.
 */
const DATA_PATH: readonly string[] = ['recvmmsg', 'sendmmsg', 'poll'] satisfies (keyof SystemCalls)[];
/** The bigints of small integers, made once: descriptors, counts and flags. */
const REGISTERS: readonly bigint[] = Array.from({ length: 4096 }, (_, value) => BigInt(value));

/** Loads the system calls by `node:ffi` (Node 26 and later), for the thread that calls this. Never throws. */
export function createNodeCalls(): SystemCalls {
  const ffi = withoutFfiWarning(() => process.getBuiltinModule('node:ffi') as unknown as NodeFfi | undefined);
  if (ffi === undefined) return createNoCalls(`Node ${process.versions.node} has no node:ffi, Node 26 has`);
  try {
    return load(ffi);
  } catch (error) {
    return createNoCalls(`node:ffi cannot be used: ${errorMessage(error)}`);
  }
}

/**
 * Runs `load` without Node's warning that FFI is experimental, which comes once in each thread: the relay probes what it
 * needs and works without it. Any other warning passes.
 */
function withoutFfiWarning<T>(load: () => T): T {
  const emitWarning = Reflect.get(process, 'emitWarning');
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (rest[0] === 'ExperimentalWarning' && String(warning).includes('FFI')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function load(ffi: NodeFfi): SystemCalls {
  const functions: Record<string, { arguments: readonly string[]; return: string }> = {
    __errno_location: { arguments: [], return: 'pointer' },
  };
  for (const [name, parameters] of Object.entries(LIBC)) {
    const isDataPath = DATA_PATH.includes(name);
    functions[name] = { arguments: parameters.map((type) => TYPES[isDataPath ? 'ptr' : type]), return: TYPES.i32 };
  }
  const c = ffi.dlopen(null, functions).functions as LibcFunctions<bigint>;
  const { recvmmsg, sendmmsg, poll } = c;
  return callsOf(c, ffi.toArrayBuffer(c.__errno_location(), ERRNO_BYTES, false), {
    adapter: 'node:ffi',
    addressOf: (buffer) => ffi.getRawPointer(buffer),
    pointer: (address): Pointer => address,
    read: (fd, bytes, length) => c.read(fd, bytes, BigInt(length)),
    write: (fd, bytes, length) => c.write(fd, bytes, BigInt(length)),
    recvmmsg: (fd, messages, count, flags, timeout) =>
      recvmmsg(register(fd), messages, register(count), register(flags), timeout ?? 0n),
    sendmmsg: (fd, messages, count, flags) => sendmmsg(register(fd), messages, register(count), register(flags)),
    poll: (descriptors, count, timeoutMs) => poll(descriptors, register(count), register(timeoutMs)),
  });
}

/** Returns an integer as the 64 bits of a register, with its sign extended. */
function register(value: number): bigint {
  return value >= 0 && value < REGISTERS.length ? REGISTERS[value]! : BigInt.asUintN(64, BigInt(value));
}
