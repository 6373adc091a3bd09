/**
 * Loaded before the relay (`node --import`): makes of it what one would write first. Reads come by 'data' events, a fresh
 * buffer each, and every frame is copied and given to the socket as soon as it is routed. The "before" of the flame graph.
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
