/**
 * The keys that refer to a secret, and what follows them: people write the secret itself there, and forget a colon, a
 * space or a quotation mark. `tokenFile` and its like hold no secret, and neither do paths.
 */
const NAMED_SECRET =
  /((?<![/.][\w-]{0,60})(?:token|apiKey|authKey|clientSecret|secret|password|(?<!\w)key)(?![\w-]{0,60}File|s\b|[\w.-]{0,60}\.(?:pem|key|txt)))[^\n]*[^\n\s"'}\])][^\n]*/i;
/** What stands behind the address in a URL, up to the end of a text: a quotation mark may be part of it. */
const QUERY = /(\/\/[^?#]{0,300}[?#]).*?("?)$/s;
/** Host and port as a URL has them; anything else between `//` and the path may be a password. */
const HOST_AND_PORT = /^(?:\[[^\]]*\]|[^:@[\]]*)(?::\d*)?$/;
/** A name of this length with a digit is not a configuration key, but may be a secret. */
const LONG_NAME = /[\w+=-]{12,}/g;

/** A longer text is cut, so that reading it takes no time. */
const MAX_CHARACTERS = 2000;

/** Text of a configuration without what may be a secret: in URLs, and behind `token` and its like. For messages. */
export function withoutSecrets(text: string): string {
  const shown = withoutUrlSecrets(text.slice(0, MAX_CHARACTERS)).replace(QUERY, '$1…$2').replace(NAMED_SECRET, '$1…');
  // A user and a password, in whatever is left of a URL.
  const from = shown.indexOf(':') + 1;
  const to = shown.lastIndexOf('@');
  return from === 0 || to < from ? shown : `${shown.slice(0, from)}…${shown.slice(to)}`;
}

/** An unknown name of a key without what may be a secret. */
export function nameWithoutSecrets(name: string): string {
  return withoutSecrets(name).replace(LONG_NAME, (word) => (/\d/.test(word) ? '…' : word));
}

/** Text with the URLs in it shortened: no user and password, and nothing behind `?` or `#`. */
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

/** Where a user and a password end; a password may have any character in it. */
function userEnd(rest: string): number {
  const at = rest.lastIndexOf('@');
  return at < 0 ? rest.length : at;
}
