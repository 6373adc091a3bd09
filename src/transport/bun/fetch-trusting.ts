import { getCACertificates } from 'node:tls';
import type { Fetch } from '../port.ts';

/** Like `fetch`, with further authorities, which Bun takes for a single request. Redirects are not followed. */
export function fetchTrusting(caPem: string): Fetch {
  const tls = { ca: [...getCACertificates('default'), caPem] };
  return (url, init) => fetch(url, { ...init, redirect: 'manual', tls } as RequestInit);
}
