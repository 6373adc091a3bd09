/**
 * Builds one executable that contains Bun and towpath: `npm run build:binary`, or with a file name to put it elsewhere
 * than in build/, which npm does not pack, and with an architecture (amd64 or arm64).
 */
import path from 'node:path';
import { ARCHITECTURES, buildExecutable, ROOT } from './packages/executable.ts';

const [output = path.join(ROOT, 'build', 'towpath'), architecture] = process.argv.slice(2);
const found = ARCHITECTURES.find((name) => name === architecture);
if (architecture !== undefined && found === undefined)
  throw new Error(`${architecture}: not one of ${ARCHITECTURES.join(', ')}`);
buildExecutable(path.resolve(output), found);
