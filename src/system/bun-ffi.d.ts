/** What `bun.ts` uses of `bun:ffi`. `bun-types` is not a dependency: it would replace Node's types. */
declare module 'bun:ffi' {
  export function dlopen(
    library: string,
    symbols: Readonly<Record<string, { readonly args: readonly string[]; readonly returns: string }>>,
  ): { readonly symbols: Readonly<Record<string, unknown>> };
  /** The address of the first byte. */
  export function ptr(buffer: ArrayBuffer): number;
  /** The memory at an address, not copied. */
  export function toArrayBuffer(pointer: number, offset: number, length: number): ArrayBuffer;
}
