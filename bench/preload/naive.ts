/**
 * Loaded before the relay (`node --import`): gives it a simple data path, without our optimizations. Reads are 'data' events with a new
 * buffer each, and every frame is copied and written to the socket when it is routed. This is the "before" of the flame graph.
 */
import { rewriteSources, type Rewrite } from './rewrite.ts';

rewriteSources([
  replacing(/\/src\/transport\/node\/index\.ts$/, [['wanted ? detectFastRead() : null;', 'null;']]),
  replacing(/\/src\/relay\/session\/session\.ts$/, [['this.#context.turn.flushAtEnd(this);', 'this.flush();']]),
  replacing(/\/src\/transport\/node\/stream\.ts$/, [
    ['if (this.#writing || from >= to) return 0;', 'if (from >= to) return 0;'],
    ['this.#copies ? Buffer.from(bytes) : bytes', 'Buffer.from(bytes)'],
  ]),
]);

function replacing(file: RegExp, pairs: readonly (readonly [old: string, now: string])[]): Rewrite {
  return {
    file,
    atLeast: pairs.length,
    change: (source) => ({
      text: pairs.reduce((text, [old, now]) => text.replaceAll(old, now), source),
      places: pairs.filter(([old]) => source.includes(old)).length,
    }),
  };
}
