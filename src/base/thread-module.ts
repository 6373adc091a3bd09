import { isInsideExecutable } from './compiled.ts';

/** A package that npm installed from a git URL has only the sources, and Node does not run TypeScript below this folder. */
const INSTALLED_SOURCE = /\/node_modules\/.*\.ts$/;

/**
 * Returns the module to give to `new Worker()`. `name` is its path below `src/`, without the extension:
 * `relay/udp/thread`. The module is a source, was compiled into `dist/`, or is part of an executable.
 */
export function threadModule(name: string): URL {
  const { url } = import.meta;
  if (isInsideExecutable(url)) return new URL(`./${name}.js`, url);
  const module = new URL(`../${name}${url.endsWith('.ts') ? '.ts' : '.js'}`, url);
  return 'bun' in process.versions || !INSTALLED_SOURCE.test(url) ? module : afterLoader(module);
}

/** A module that first does for its thread what `bin/start.cjs` does for the main one. */
function afterLoader(module: URL): URL {
  const loader = new URL('../../bin/run-sources.cjs', import.meta.url);
  const code = `import ${JSON.stringify(loader)};\nawait import(${JSON.stringify(module)});\n`;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}
