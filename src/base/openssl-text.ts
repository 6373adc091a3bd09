/** One error of OpenSSL or BoringSSL as text: `error:0A00010B:SSL routines:FUNCTION:REASON`, with what Node adds. */
const ERROR =
  /(?:(?:read|write) EPROTO )?(?:[0-9A-F]{8,16}:)?error:[0-9A-Fa-f]{8}:([^:]{0,80}):[^:]{0,80}:([^:]{1,120})(?::[^:\s]{1,200}:\d+:(?:SSL alert number \d+)?)?/g;

/** A TLS problem in plain text. */
interface TlsProblem {
  readonly text: string;
  /** What the user of the connecting side can do. */
  readonly hint: string;
}

const NO_TLS: TlsProblem = {
  text: 'the other side does not speak TLS on this port',
  hint: 'Check the port. If it is one for plain HTTP, use the port with TLS, or a URL that starts with http://.',
};
const NO_VERSION: TlsProblem = {
  text: 'the two sides have no TLS version in common; TLS 1.2 or 1.3 is needed',
  hint: 'Allow TLS 1.2 or 1.3 on the server, or update it.',
};
const NO_CIPHER: TlsProblem = {
  text: 'the two sides have no cipher suite in common',
  hint: 'Allow the usual suites of TLS 1.2 or 1.3 on the server. A certificate of an unusual kind looks like this too.',
};
const NO_NAME: TlsProblem = {
  text: 'the server has no certificate for this name',
  hint: 'Check the name, and whether a proxy in front passes it on to another server.',
};
const DISTRUST: TlsProblem = {
  text: 'the other side does not accept the certificate',
  hint: 'Check the certificate that is sent, and which one the other side expects.',
};

/** Problems by the reason of the library, in lower case and with blanks. */
const PROBLEMS: readonly (readonly [RegExp, TlsProblem])[] = [
  [
    /^https? (?:proxy )?request$/,
    { text: 'plain HTTP came to a port with TLS', hint: 'Use a URL that starts with https://.' },
  ],
  [
    /wrong version number|unknown protocol|packet length too long|record too (?:long|large)|bad record type|unexpected record|not ssl/,
    NO_TLS,
  ],
  [/protocol version|unsupported protocol|no protocols available|version too low|inappropriate fallback/, NO_VERSION],
  [/no shared cipher|handshake failure|no cipher|no common signature|no shared group|insufficient security/, NO_CIPHER],
  [/unrecognized name/, NO_NAME],
  [/alert.*(?:certificate|unknown ca)|certificate required/, DISTRUST],
];
/** Names of alert kinds and layers, which do not help a user. */
const NOISE = /\b(?:tlsv1|tlsv13|sslv3|ssl\/tls|alert)\b ?/g;

/**
 * Returns `text` with every error of the TLS library replaced by plain text. Such errors contain functions and source
 * files of the library, and numbers that differ with each handshake.
 */
export function withoutOpenSslText(text: string): string {
  if (!text.includes('error:')) return text;
  return text.replaceAll(ERROR, (_whole, library: string, reason: string) => plain(library, reason));
}

/** What the side that connects can do about an error of the TLS library in `text`; undefined when there is none. */
export function openSslHint(text: string): string | undefined {
  const found = text.includes('error:') ? text.matchAll(ERROR).next().value : undefined;
  return found === undefined ? undefined : problemOf(words(found[2]!))?.hint;
}

function plain(library: string, reason: string): string {
  const text = words(reason);
  if (!library.toLowerCase().startsWith('ssl')) return text;
  return problemOf(text)?.text ?? `the TLS handshake failed (${text.replaceAll(NOISE, '').trim()})`;
}

function problemOf(reason: string): TlsProblem | undefined {
  return PROBLEMS.find(([pattern]) => pattern.test(reason))?.[1];
}

function words(reason: string): string {
  return reason.replaceAll('_', ' ').toLowerCase().trim();
}
