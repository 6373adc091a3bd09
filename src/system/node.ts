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
    functions[name] = { arguments: parameters.map((type) => TYPES[type]), return: TYPES.i32 };
  }
  const c = ffi.dlopen(null, functions).functions as LibcFunctions<bigint>;
  return callsOf(c, ffi.toArrayBuffer(c.__errno_location(), ERRNO_BYTES, false), {
    adapter: 'node:ffi',
    addressOf: (buffer) => ffi.getRawPointer(buffer),
    pointer: (address): Pointer => address,
    read: (fd, bytes, length) => c.read(fd, bytes, BigInt(length)),
    write: (fd, bytes, length) => c.write(fd, bytes, BigInt(length)),
  });
}
