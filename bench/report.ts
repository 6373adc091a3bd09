/**
 * Makes the tables of docs/performance.md from kept results: `npm run bench:report -- [FILE…]`. Without a file the newest
 * of bench/results is used. With several, a later file replaces the cases of earlier ones.
 */
import { PAGE, renderPage } from './relay/page.ts';

try {
  await renderPage(process.argv.slice(2));
  console.log(`wrote the tables of ${PAGE}`);
} catch (error) {
  console.error(`bench:report: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
