import type { IncomingMessage } from 'node:http';
import { type BadHead, checkRequestHead, type RequestHead } from '../wire/request-head.ts';

const heads = new WeakMap<IncomingMessage, RequestHead | BadHead>();

/**
 * The head of a request that an HTTP server has parsed, checked by the rules of the first one on a connection: what is
 * refused there is refused here, and what is an upgrade there is one here.
 */
export function headOf(request: IncomingMessage): RequestHead | BadHead {
  const known = heads.get(request);
  if (known !== undefined) return known;
  const { method = '', url = '', httpVersion, rawHeaders } = request;
  const head = checkRequestHead(method, url, httpVersion, rawHeaders);
  heads.set(request, head);
  return head;
}
