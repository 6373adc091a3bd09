/**
 * Measures the cost per byte of every parser of foreign input, at 1, 2, 4 and 8 times its largest input: `npm run bench:parsers`, with
 * parts of titles to select some. Exit code 1 when a cost per byte grows by more than {@link MOST_GROWTH}.
 */
import { PARSER_CASES, type ParserCase } from './parsers/cases.ts';
import { growth, measureCase } from './parsers/measure.ts';

const SIZES = [1, 2, 4, 8];
const MOST_GROWTH = 2;
/** Attempts for a case whose cost seems to grow: a busy machine makes outliers, but a slow parser is slow each time. */
const ATTEMPTS = 4;

const wanted = process.argv.slice(2);
const cases = PARSER_CASES.filter(({ title }) => wanted.length === 0 || wanted.some((part) => title.includes(part)));
const runtime = 'bun' in process.versions ? `bun ${process.versions.bun}` : `node ${process.version}`;
console.log(`${runtime}; nanoseconds per byte, median [lowest–highest], at 1, 2, 4, 8 times the largest input\n`);
let failures = 0;
for (const one of cases) if (!report(one)) failures++;
console.log(`\n${cases.length} cases, ${failures} of which grow by more than ${MOST_GROWTH}`);
process.exitCode = failures > 0 ? 1 : 0;

function report(one: ParserCase): boolean {
  let samples = SIZES.map((factor) => measureCase(one, one.largestBytes * factor));
  for (let attempt = 1; attempt < ATTEMPTS && growth(samples) > MOST_GROWTH; attempt++) {
    samples = SIZES.map((factor) => measureCase(one, one.largestBytes * factor));
  }
  const isFlat = growth(samples) <= MOST_GROWTH;
  const columns = samples.map(({ median, lowest, highest }) =>
    `${digits(median)} [${digits(lowest)}–${digits(highest)}]`.padEnd(22),
  );
  console.log(
    `${isFlat ? 'ok  ' : 'FAIL'} ${one.title.padEnd(52)} ${columns.join(' ')} ×${growth(samples).toFixed(2)}`,
  );
  return isFlat;
}

function digits(value: number): string {
  return value < 1 ? value.toFixed(3) : value.toFixed(1);
}
