import type { IncomingMessage } from 'node:http';
import { type BadHead, checkRequestHead, type RequestHead } from '../wire/request-head.ts';

const heads = new WeakMap<IncomingMessage, RequestHead | BadHead>();

/**
 * Returns the head of a request that an HTTP server has parsed. The same rules apply as for the first request of a
 * connection: the same heads are refused, and the same heads are upgrades.
 */
export function headOf(request: IncomingMessage): RequestHead | BadHead {
  const known = heads.get(request);
  if (known !== undefined) return known;
  const { method = '', url = '', httpVersion, rawHeaders } = request;
  const head = checkRequestHead(method, url, httpVersion, rawHeaders);
  heads.set(request, head);
  return head;
}
