// What `import 'towpath'` gives: the compiled module of an archive, or the source in an installation from a git URL.
import { existsSync } from 'node:fs';

const compiled = new URL('../dist/start-relay.js', import.meta.url);
const isCompiled = existsSync(compiled);
if (!isCompiled) await import('./run-sources.cjs');
export const { startRelay } = await import(isCompiled ? compiled.href : '../src/start-relay.ts');
