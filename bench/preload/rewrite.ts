import { readFileSync } from 'node:fs';
// A namespace, because Bun has no registerHooks.
import * as modules from 'node:module';

/** A change to a source file of the relay while it is loaded. */
export interface Rewrite {
  /** Matches the end of the file's path. */
  readonly file: RegExp;
  /** Returns the new text and the number of changed places. */
  readonly change: (text: string) => { text: string; places: number };
  /** Fewer changed places are an error: an unchanged relay must not be measured. */
  readonly atLeast: number;
}

/** The part of Bun's plugin API that is used here. */
interface BunGlobal {
  plugin(plugin: {
    name: string;
    setup(build: {
      onLoad(where: { filter: RegExp }, load: (file: { path: string }) => { contents: string; loader: 'ts' }): void;
    }): void;
  }): void;
}

/** Applies the changes to every file that is imported from now on, on either runtime. */
export function rewriteSources(rewrites: readonly Rewrite[]): void {
  const bun = (globalThis as { Bun?: BunGlobal }).Bun;
  if (bun === undefined) {
    modules.registerHooks({
      load(url, context, nextLoad) {
        const loaded = nextLoad(url, context);
        const wanted = rewrites.find(({ file }) => file.test(url));
        if (wanted === undefined || loaded.source === undefined) return loaded;
        const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
        return { ...loaded, source: rewritten(wanted, url, text) };
      },
    });
    return;
  }
  bun.plugin({
    name: 'rewrite-sources',
    setup(build) {
      for (const rewrite of rewrites) {
        build.onLoad({ filter: rewrite.file }, ({ path }) => ({
          contents: rewritten(rewrite, path, readFileSync(path, 'utf8')),
          loader: 'ts',
        }));
      }
    },
  });
}

function rewritten({ change, atLeast }: Rewrite, file: string, source: string): string {
  const { text, places } = change(source);
  if (places >= atLeast) return text;
  throw new Error(
    `${file} has ${places} places to change where at least ${atLeast} were expected: adapt bench/preload`,
  );
}
