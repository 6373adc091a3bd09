/**
 * Matches a key that refers to a secret, and the rest of its line. People write the secret itself there, and forget a
 * colon, a space or a quotation mark. `tokenFile` and similar keys hold a path, which is not secret.
 */
const NAMED_SECRET =
  /((?<![/.][\w-]{0,60})(?:token|apiKey|authKey|clientSecret|secret|password|(?<!\w)key)(?![\w-]{0,60}File|s\b|[\w.-]{0,60}\.(?:pem|key|txt)))[^\n]*[^\n\s"'}\])][^\n]*/i;
/** Matches what follows the address in a URL, up to the end of the text. A quotation mark may be part of it. */
const QUERY = /(\/\/[^?#]{0,300}[?#]).*?("?)$/s;
/** Host and port as a URL has them; anything else between `//` and the path may be a password. */
const HOST_AND_PORT = /^(?:\[[^\]]*\]|[^:@[\]]*)(?::\d*)?$/;
/** A name of this length with a digit is not a configuration key, but may be a secret. */
const LONG_NAME = /[\w+=-]{12,}/g;

/** Longest text that is read. A longer text is cut, to limit the time. */
const MAX_CHARACTERS = 2000;

/**
 * Returns a text of a configuration for a message, without possible secrets: in URLs, and after `token` and similar
 * keys.
 */
export function withoutSecrets(text: string): string {
  const shown = withoutUrlSecrets(text.slice(0, MAX_CHARACTERS)).replace(QUERY, '$1…$2').replace(NAMED_SECRET, '$1…');
  // The rest may have the user and password of a URL that was not recognized.
  const from = shown.indexOf(':') + 1;
  const to = shown.lastIndexOf('@');
  return from === 0 || to < from ? shown : `${shown.slice(0, from)}…${shown.slice(to)}`;
}

/** Returns an unknown name of a key without possible secrets. */
export function nameWithoutSecrets(name: string): string {
  return withoutSecrets(name).replace(LONG_NAME, (word) => (/\d/.test(word) ? '…' : word));
}

/** Returns a text with shortened URLs: without user and password, and without anything after `?` or `#`. */
export function withoutUrlSecrets(text: string): string {
  return text
    .split(/(?<=["'])/)
    .map((part) => {
      const at = part.indexOf('//');
      if (at < 0) return part;
      const host = at + 2;
      const tail = /["'\s]$/.exec(part)?.[0] ?? '';
      const rest = part.slice(host, part.length - tail.length);
      const shown = HOST_AND_PORT.test(rest.split(/[/?#\s]/, 1)[0]!) ? rest : `…${rest.slice(userEnd(rest))}`;
      const end = shown.search(/[?#]/);
      return `${part.slice(0, host)}${end < 0 ? shown : `${shown.slice(0, end + 1)}…`}${tail}`;
    })
    .join('');
}

/** Returns where a user and a password end. A password may have any character. */
function userEnd(rest: string): number {
  const at = rest.lastIndexOf('@');
  return at < 0 ? rest.length : at;
}
