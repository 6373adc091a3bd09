/** What `sqlite.ts` uses of `bun:sqlite`. `bun-types` is not a dependency: it would replace Node's types. */
declare module 'bun:sqlite' {
  type Value = string | number | null | Uint8Array;
  export class Database {
    constructor(path: string, options: { readonly readonly?: boolean; readonly create?: boolean });
    run(sql: string): void;
    prepare(sql: string): {
      run(...values: readonly Value[]): unknown;
      iterate(...values: readonly Value[]): IterableIterator<Readonly<Record<string, Value>>>;
    };
    close(): void;
  }
}
