/**
 * Loaded before the relay (`node --import`, `bun --preload`): removes the counting per packet and per write from its
 * source as it is loaded, so that the cost of the counters can be measured. The files of the relay do not change.
 */
import { rewriteSources } from './rewrite.ts';

const OWNER = String.raw`(?:this\.)?(?:#context\.)?#?counters\.`;
const EXPRESSIONS: readonly RegExp[] = [
  new RegExp(
    String.raw`${OWNER}(?:packetsReceived|bytesReceived|discoPacketsReceived|packetsSent|bytesSent)(?:\+\+| \+= [^;]*)`,
    'g',
  ),
  new RegExp(String.raw`${OWNER}(?:flush|queueDelay)\([^;]*\)`, 'g'),
  // This value is read only for the counter of the delay.
  /this\.#waitingSince = performance\.now\(\)/g,
];

rewriteSources([
  { file: /\/src\/relay\/routing\/router\.ts$/, atLeast: 3, change: withoutCounting },
  { file: /\/src\/relay\/session\/outbox\.ts$/, atLeast: 3, change: withoutCounting },
  { file: /\/src\/relay\/session\/session\.ts$/, atLeast: 1, change: withoutCounting },
]);

function withoutCounting(source: string): { text: string; places: number } {
  let places = 0;
  const text = EXPRESSIONS.reduce(
    (changed, expression) =>
      changed.replaceAll(expression, () => {
        places++;
        return 'void 0';
      }),
    source,
  );
  return { text, places };
}
