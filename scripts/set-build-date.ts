/** Writes today's date into src/certificates/build-date.ts; `npm version` runs it. It never goes back. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BUILD_DATE_MS } from '../src/certificates/build-date.ts';

const file = path.resolve(import.meta.dirname, '../src/certificates/build-date.ts');
const now = new Date();
if (now.getTime() < BUILD_DATE_MS) throw new Error(`the clock of this machine is wrong: it says ${now.toISOString()}`);
const date = `Date.UTC(${now.getUTCFullYear()}, ${now.getUTCMonth()}, ${now.getUTCDate()})`;
writeFileSync(file, readFileSync(file, 'utf8').replace(/Date\.UTC\([^)]*\)/, date));
