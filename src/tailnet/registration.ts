import { errorMessage } from '../base/errors.ts';
import { parseForeignJson, RepeatedKeyError } from '../wire/json.ts';
import { formatNodeKey } from '../wire/keys.ts';
import { KEY_BYTES } from '../wire/frames.ts';
import type { ControlAnswer, ControlConnection } from './control-connection.ts';
import { ControlError } from './control-error.ts';
import { readRegisterResponse, type RegisterResponse } from './map-response.ts';
import type { NodeState } from './node-state.ts';
import { retryAfterMs } from './retry-after.ts';

const PATH = '/machine/register';
const LIMIT_BYTES = 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** Time limit of a followup, which is answered when the login is done. Then it is repeated. */
const FOLLOWUP_TIMEOUT_MS = 600_000;
const EXPLANATION_BYTES = 300;
const DECISIVE = ['Error', 'AuthURL', 'NodeKeyExpired', 'MachineAuthorized', 'NodeKeySignature'];
/** A time that is in the past for every server. */
const LONG_AGO = '1971-01-01T00:00:00Z';
const ZERO_KEY = formatNodeKey(Buffer.alloc(KEY_BYTES));

/** The result of a registration. */
export type Registration =
  | { readonly kind: 'registered'; readonly needsApproval: boolean }
  /** A person must log in at `url`. */
  | { readonly kind: 'login'; readonly url: string }
  /** The node needs a new node key. */
  | { readonly kind: 'expired' }
  /** Tailnet lock wants a signature of the node key, which only a signing node can make. */
  | { readonly kind: 'locked' }
  | { readonly kind: 'refused'; readonly reason: string };

/** The node that registers. */
export interface Registrant {
  readonly state: NodeState;
  readonly version: number;
  readonly hostinfo: object;
}

/** The proof of a registration: an auth key, a login at the URL of an earlier answer, or nothing for a known node. */
export interface Proof {
  readonly authKey?: string | null;
  readonly followup?: string;
}

/** Registers a node (peer-relay reference §14). Rejects with a {@link ControlError} when there is no valid answer. */
export async function register(connection: ControlConnection, who: Registrant, proof: Proof): Promise<Registration> {
  const authKey = proof.authKey ?? null;
  const followup = proof.followup ?? '';
  const body = {
    ...requestOf(who),
    ...(authKey === null ? {} : { Auth: { AuthKey: authKey } }),
    Followup: followup,
  };
  const timeoutMs = followup === '' ? TIMEOUT_MS : FOLLOWUP_TIMEOUT_MS;
  const answer = await connection.request(PATH, body, { timeoutMs, limitBytes: LIMIT_BYTES });
  checkStatus(answer, PATH, authKey);
  return outcome(readRegisterResponse(parse(answer.body)), authKey);
}

/** Returns why a registration did not succeed, as a sentence for the operator. `nodeKey` is the public one, 32 bytes. */
export function whyNotRegistered(result: Registration, nodeKey: Buffer): string {
  switch (result.kind) {
    case 'refused':
      return result.reason;
    case 'locked':
      return `tailnet lock is on: run "tailscale lock sign ${formatNodeKey(nodeKey)}" on a signing node`;
    case 'expired':
      return 'the new node key counts as expired';
    default:
      return 'a person must log in';
  }
}

/** Logs the node out: its key expires at once (addendum §6). */
export async function logOut(connection: ControlConnection, who: Registrant): Promise<void> {
  const body = { ...requestOf(who), Expiry: LONG_AGO };
  const answer = await connection.request(PATH, body, { timeoutMs: TIMEOUT_MS, limitBytes: LIMIT_BYTES });
  checkStatus(answer, PATH, null);
}

/** Throws when the status of an answer is not 200. */
export function checkStatus({ status, retryAfter, body }: ControlAnswer, path: string, secret: string | null): void {
  if (status === 200) return;
  const said = explanation(body, secret);
  const text = `the control server answered ${status} to ${path}${said === '' ? '' : `: ${said}`}`;
  const waitMs = status === 429 || status === 503 ? retryAfterMs(retryAfter, status) : null;
  if (waitMs !== null) throw new ControlError('busy', text, waitMs);
  if (status === 401 || status === 404) throw new ControlError('unknown-node', text);
  throw new ControlError(status >= 500 ? 'unreachable' : 'refused', text);
}

function requestOf({ state, version, hostinfo }: Registrant): object {
  const { previousNodeKey } = state;
  return {
    Version: version,
    NodeKey: formatNodeKey(state.node.publicKey),
    OldNodeKey: previousNodeKey === null ? ZERO_KEY : formatNodeKey(previousNodeKey),
    Hostinfo: hostinfo,
    Ephemeral: false,
  };
}

function outcome(response: RegisterResponse, secret: string | null): Registration {
  const { Error: refusal, AuthURL, NodeKeyExpired, MachineAuthorized, NodeKeySignature } = response;
  if (refusal !== null && refusal !== '') return { kind: 'refused', reason: withoutSecret(refusal, secret) };
  if (NodeKeySignature !== null && NodeKeySignature !== '') return { kind: 'locked' };
  if (NodeKeyExpired === true) return { kind: 'expired' };
  if (AuthURL !== null && AuthURL !== '') return { kind: 'login', url: errorMessage(AuthURL) };
  return { kind: 'registered', needsApproval: MachineAuthorized !== true };
}

function parse(body: Buffer): unknown {
  try {
    return parseForeignJson(body, DECISIVE);
  } catch (error) {
    const why = error instanceof RepeatedKeyError ? `cannot be used: ${error.message}` : 'is not JSON';
    throw new ControlError('protocol', `the answer of the control server to the registration ${why}`);
  }
}

function explanation(body: Buffer, secret: string | null): string {
  return withoutSecret(body.toString('utf8', 0, EXPLANATION_BYTES).trim(), secret);
}

/** Removes the secret from a text of the server, which may repeat it. */
function withoutSecret(text: string, secret: string | null): string {
  const masked = secret === null || secret === '' ? text : text.replaceAll(secret, '********');
  return errorMessage(masked);
}
