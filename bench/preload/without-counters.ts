/**
 * Loaded before the relay (`node --import`, `bun --preload`): takes the counting per packet and per write out of its
 * source as it is loaded, so that the price of the counters can be measured. Nothing of this is in the relay itself.
 */
import { readFileSync } from 'node:fs';
import * as modules from 'node:module';

/** Files of the data path, and how many counting expressions must be found in each: fewer would prove nothing. */
const COUNTING: readonly (readonly [file: RegExp, atLeast: number])[] = [
  [/\/src\/relay\/router\.ts$/, 3],
  [/\/src\/session\/outbox\.ts$/, 3],
  [/\/src\/session\/session\.ts$/, 2],
];

const OWNER = String.raw`(?:this\.)?(?:#context\.)?#?counters\.`;
const EXPRESSIONS: readonly RegExp[] = [
  new RegExp(
    String.raw`${OWNER}(?:packetsReceived|bytesReceived|discoPacketsReceived|packetsSent|bytesSent)(?:\+\+| \+= [^;]*)`,
    'g',
  ),
  new RegExp(String.raw`${OWNER}(?:flush|queueDelay)\([^;]*\)`, 'g'),
  // Read for the counter of the delay only.
  /this\.#waitingSince = performance\.now\(\)/g,
];

/** The slice of Bun's plugin API that is used here. */
interface BunGlobal {
  plugin(plugin: {
    name: string;
    setup(build: {
      onLoad(where: { filter: RegExp }, load: (file: { path: string }) => { contents: string; loader: 'ts' }): void;
    }): void;
  }): void;
}

const bun = (globalThis as { Bun?: BunGlobal }).Bun;
if (bun === undefined) {
  modules.registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const wanted = COUNTING.find(([file]) => file.test(url));
      if (wanted === undefined || loaded.source === undefined) return loaded;
      const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
      return { ...loaded, source: withoutCounting(url, text, wanted[1]) };
    },
  });
} else {
  bun.plugin({
    name: 'without-counters',
    setup(build) {
      for (const [filter, atLeast] of COUNTING) {
        build.onLoad({ filter }, ({ path }) => ({
          contents: withoutCounting(path, readFileSync(path, 'utf8'), atLeast),
          loader: 'ts',
        }));
      }
    },
  });
}

function withoutCounting(file: string, text: string, atLeast: number): string {
  let found = 0;
  let changed = text;
  for (const expression of EXPRESSIONS) {
    changed = changed.replaceAll(expression, () => {
      found++;
      return 'void 0';
    });
  }
  if (found >= atLeast) return changed;
  throw new Error(
    `${file} has ${found} counting expressions where at least ${atLeast} were expected: adapt ${import.meta.url}`,
  );
}
