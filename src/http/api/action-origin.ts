import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.ts';

/**
 * Returns why a request must not cause an action, or null. A page of another site can make a browser send requests
 * here. It cannot send JSON without a preflight request, which is never granted, and browsers say where a request comes
 * from.
 */
export function actionProblem({ headers }: IncomingMessage): ApiError | null {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type !== 'application/json') {
    return new ApiError(415, 'content_type', 'actions take Content-Type: application/json only');
  }
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return FOREIGN;
  const { origin, host } = headers;
  if (origin === undefined) return null;
  return hostOfOrigin(origin) === host?.toLowerCase() ? null : FOREIGN;
}

const FOREIGN = new ApiError(
  403,
  'foreign_origin',
  'actions are taken from the status page itself only, not from other sites',
);

/** Returns host and port of an origin; null when it has none, such as the origin `null` of a file. */
function hostOfOrigin(origin: string): string | null {
  const url = URL.parse(origin);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return null;
  return url.host;
}
