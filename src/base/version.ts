import { readFileSync } from 'node:fs';

/** Set by `npm run build:binary`: an executable has no package.json. */
declare const TOWPATH_VERSION: string | undefined;

/** The version of this package, from the package.json next to `src/` or `dist/`. */
export const VERSION: string = typeof TOWPATH_VERSION === 'string' ? TOWPATH_VERSION : readVersion();

/** The runtime and its version: `Node 24.21.0`. */
export const RUNTIME: string =
  process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : '';
  return typeof version === 'string' ? version : 'unknown';
}
