/**
 * Builds one executable that contains Bun and towpath: `npm run build:binary`, or with a file name to put it elsewhere
 * than in build/, which npm does not pack.
 */
import path from 'node:path';
import { buildExecutable, ROOT } from './packages/executable.ts';

buildExecutable(path.resolve(process.argv[2] ?? path.join(ROOT, 'build', 'towpath')));
