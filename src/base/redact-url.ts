/** A part of a path that is this long and has a digit is treated as a token, as in webhook URLs of chat services. */
const TOKEN_CHARACTERS = 16;

/**
 * A URL for messages: without user, password and query, and without parts of the path that look like a token.
 * Text that is not a URL, such as the path in a redirect, is treated as a path.
 */
export function redactUrl(text: string): string {
  const url = URL.parse(text) ?? URL.parse(text, 'http://unnamed.invalid');
  if (url === null) return 'an invalid address';
  const path = redactPath(url.pathname);
  const origin = url.host === 'unnamed.invalid' ? '' : `${url.protocol}//${url.host}`;
  return `${origin}${path}${url.search === '' ? '' : '?…'}`;
}

/**
 * Returns a path without the parts that look like a token: the operator may have written the secret itself instead of
 * the name of its file.
 */
export function redactPath(path: string): string {
  return path
    .split('/')
    .map((part) => (part.length >= TOKEN_CHARACTERS && /\d/.test(part) ? '…' : part))
    .join('/');
}
