/** A part of a path that is this long and has a digit is taken for a token, as in the addresses of chat services. */
const TOKEN_CHARACTERS = 16;

/**
 * A URL as messages show it: without user, password and query, and without parts of the path that look like a token.
 * Text that is no URL, such as the path in a redirect, is treated as one of an unnamed server.
 */
export function shownUrl(text: string): string {
  const url = URL.parse(text) ?? URL.parse(text, 'http://unnamed.invalid');
  if (url === null) return 'an address that is none';
  const path = shownPath(url.pathname);
  const origin = url.host === 'unnamed.invalid' ? '' : `${url.protocol}//${url.host}`;
  return `${origin}${path}${url.search === '' ? '' : '?…'}`;
}

/** A path without the parts that look like a token: somebody may have written the secret in the place of its file. */
export function shownPath(path: string): string {
  return path
    .split('/')
    .map((part) => (part.length >= TOKEN_CHARACTERS && /\d/.test(part) ? '…' : part))
    .join('/');
}
