import { TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';

/** Longest part of a reason phrase that is repeated in an error. */
const MAX_REASON_CHARACTERS = 200;

/** Errors between a client and a relay, after the transport's own `TOWPATH_CONNECT_…` (port.ts). */

/** The URL is not a relay URL. */
export function urlError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_URL', `the relay URL ${reason}`, {
    hint: 'Write the URL as https://HOST[:PORT]/derp, or with http:// for a relay without TLS.',
  });
}

/** The relay answered the upgrade with a status other than 101. */
export function statusError(status: number, text: string): TowpathError {
  const hint =
    status === 426
      ? 'A proxy between this machine and the relay removes the Upgrade header: configure it to forward "Upgrade: DERP" unchanged.'
      : status === 404
        ? 'There is no DERP at this path: check the path of the URL, which is usually /derp, and check that DERP is on.'
        : 'Check that the host and the port are those of a DERP relay, and that no proxy answers for it.';
  const reason = printable(text.length > MAX_REASON_CHARACTERS ? `${text.slice(0, MAX_REASON_CHARACTERS)}…` : text);
  const answer = `the relay answered the upgrade with HTTP ${status} ${reason}`.trim();
  return new TowpathError('TOWPATH_CLIENT_HTTP', answer, { hint });
}

/** The relay's answer is not a response to the upgrade. */
export function upgradeError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_UPGRADE', `the upgrade to DERP failed: ${reason}`, {
    hint: 'Check that the host and the port are those of a DERP relay, and that no proxy breaks the upgrade.',
  });
}

/** The first frames are not those of a DERP relay. */
export function greetingError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_GREETING', `the relay's first frames are wrong: ${reason}`, {
    hint: 'The server speaks HTTP, but not correct DERP: check which program runs at this address.',
  });
}

/** The relay closed after it had our key and before it sent ServerInfo: this is how relays refuse a client (§11.1). */
export function refusedError(): TowpathError {
  return new TowpathError(
    'TOWPATH_CLIENT_REFUSED',
    'the relay closed the connection after it received our key: most likely it does not admit this key',
    {
      hint: "A relay does not tell a client why it refuses a key. The relay's log and the page /admission of its admin listener tell why. Admit this key there, or test with a node of its network.",
    },
  );
}

/**
 * The relay closed a fast start without an answer. Our key was sent with the request, and the first frames of the relay may
 * be lost when it closes. So this is probably a refusal, but it can have other causes.
 */
export function refusedUnseenError(): TowpathError {
  return new TowpathError(
    'TOWPATH_CLIENT_UPGRADE',
    'the relay closed the connection without an answer, after it received the request and our key: probably it does not admit this key',
    {
      hint: "The relay's log and the page /admission of its admin listener tell whether it refused this key. If it did not, check that no proxy breaks the upgrade.",
    },
  );
}

/** ServerInfo does not open or does not parse. */
export function boxError(reason: string, cause?: unknown): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_BOX', `the relay could not prove its key: ${reason}`, {
    hint: 'The relay does not have the private key for the public key that it sent: check whether a proxy or a second relay is behind the same address.',
    cause,
  });
}

/** The stream of frames is broken. */
export function frameError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_FRAME', `the relay sent a broken stream: ${reason}`);
}

/** The expected bytes did not come in time. */
export function timeoutError(what: string, afterMs: number): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_TIMEOUT', `${what} did not come within ${afterMs / 1000} s`, {
    hint: 'Check that the relay runs, and that no proxy or firewall holds back its data.',
  });
}

/** The connection ended, or was ended, before this was done. */
export function closedError(reason: string): TowpathError {
  return new TowpathError('TOWPATH_CLIENT_CLOSED', `the connection to the relay ended: ${reason}`);
}
