import { TowpathError } from '../errors.ts';
import { printable } from '../printable.ts';

/** So much of a reason phrase tells what a proxy wants to say. */
const MAX_REASON_CHARACTERS = 200;

/** What can go wrong between a client and a relay, after the transport's own `TOWPATH_CONNECT_…` (port.ts). */

/** The URL is not one of a relay. */
export function urlError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_URL', `the relay URL ${reason}`, {
    hint: 'Give the relay as https://HOST[:PORT]/derp, or http:// for one without TLS.',
  });
}

/** The relay answered the upgrade with a status other than 101. */
export function statusError(status: number, text: string): TowpathError {
  const hint =
    status === 426
      ? 'Something between here and the relay removes the Upgrade header: let it pass "Upgrade: DERP" through unchanged.'
      : status === 404
        ? 'Nothing serves DERP at this path: check the path of the URL, usually /derp, and that DERP is switched on there.'
        : 'Check that host and port are those of a DERP relay and that no proxy answers in its place.';
  const reason = printable(text.length > MAX_REASON_CHARACTERS ? `${text.slice(0, MAX_REASON_CHARACTERS)}…` : text);
  const answer = `the relay answered the upgrade with HTTP ${status} ${reason}`.trim();
  return new TowpathError('TOWPATH_CLIENT_HTTP', answer, { hint });
}

/** The bytes that came in place of the upgrade's response are no such response. */
export function upgradeError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_UPGRADE', `the upgrade to DERP failed: ${reason}`, {
    hint: 'Check that host and port are those of a DERP relay and that no proxy in between breaks connection upgrades.',
  });
}

/** The first frames are not those of a DERP relay. */
export function greetingError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_GREETING', `the relay's greeting is wrong: ${reason}`, {
    hint: 'The peer speaks HTTP but not DERP as it should: check what runs at this address.',
  });
}

/** The relay closed after it had our key and before it said ServerInfo: the way in which relays refuse (§11.1). */
export function refusedError(): TowpathError {
  return new TowpathError(
    'TOWPATH_CLIENT_REFUSED',
    'the relay closed the connection once it had our key: most likely it does not admit this key',
    {
      hint: 'Relays admit only keys that they know, and never say why: its log and the page /admission of its admin listener do. Add this key there, or test with a node that belongs to its network.',
    },
  );
}

/**
 * The relay closed a fast start without a word. Our key went along with the request, and the greeting of the relay may be
 * lost with the close, so this is what a refusal looks like; but not every such close is one.
 */
export function refusedUnseenError(): TowpathError {
  return new TowpathError(
    'TOWPATH_CLIENT_UPGRADE',
    'the relay closed the connection after the TLS handshake, when it had the request and our key, without an answer: probably it does not admit this key',
    {
      hint: 'Its log and the page /admission of its admin listener say whether it refused this key. If they do not, check that no proxy in between breaks connection upgrades.',
    },
  );
}

/** ServerInfo does not open or does not parse. */
export function boxError(reason: string, cause?: unknown): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_BOX', `the relay could not prove its key: ${reason}`, {
    hint: 'The relay does not own the key that it presents: look for a proxy or a second relay behind the same address.',
    cause,
  });
}

/** The stream of frames is broken. */
export function frameError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_FRAME', `the relay sent a broken stream: ${reason}`);
}

/** Nothing came in time. */
export function timeoutError(what: string, afterMs: number): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_TIMEOUT', `${what} did not come within ${afterMs / 1000} s`, {
    hint: 'Check that the relay is alive and that nothing on the way holds back its bytes.',
  });
}

/** The connection ended, or was ended, before this was done. */
export function closedError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_CLOSED', `the connection to the relay ended: ${reason}`);
}
