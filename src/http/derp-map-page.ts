import { createHash, timingSafeEqual } from 'node:crypto';
import type { Page } from './pages.ts';

/** The DERP map under a secret path. */
export interface PublishedDerpMap {
  /** The last part of the path. */
  readonly secret: string;
  /** The map as JSON, as it is now. */
  readonly json: () => string;
  /** Whether it is also answered without TLS. */
  readonly plainHttp: boolean;
}

const PATH = '/derpmap/';

/**
 * Returns the page for `path`, or null when it is another path or not the secret one. The time does not depend on the
 * secret.
 */
export function derpMapPage(map: PublishedDerpMap | null, path: string): Page | null {
  if (map === null || !path.startsWith(PATH)) return null;
  if (!timingSafeEqual(digest(path.slice(PATH.length)), digest(map.secret))) return null;
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
  return { status: 200, headers, body: Buffer.from(map.json()) };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
