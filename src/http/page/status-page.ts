import type { Page } from '../pages.ts';
import { PAGE_FILES } from './files.ts';

/** Only what this listener serves itself, and nothing inline. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

function file(type: string, text: string): Page {
  return { status: 200, headers: { ...HEADERS, 'Content-Type': type }, body: Buffer.from(text) };
}

/** The files of the status page by their path. They hold no data, so that they need no token. */
export const STATUS_PAGE: ReadonlyMap<string, Page> = new Map([
  ['/', file('text/html; charset=utf-8', PAGE_FILES.html)],
  ['/page.js', file('text/javascript; charset=utf-8', PAGE_FILES.script)],
  ['/page.css', file('text/css; charset=utf-8', PAGE_FILES.style)],
  ['/icon.svg', file('image/svg+xml', PAGE_FILES.icon)],
]);
