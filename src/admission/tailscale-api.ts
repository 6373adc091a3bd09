import type { TailscaleApiSourceConfig } from '../config/schema/admission-sources.ts';
import { baseUrl } from './base-url.ts';
import { SourceFailure } from './failure.ts';
import { requestDatedJson, requestJson } from './http-request.ts';
import { nodeFacts, type NodeFacts, type NodeList } from './node-facts.ts';
import { nodesOf, type ListedNode } from './node-list.ts';
import { openSecret, type Secret } from './secret.ts';
import { redactUrl } from '../base/redact-url.ts';

/** A device takes about 1 KiB. */
const DEVICES_BYTES = 64 * 1024 * 1024;
const DECISIVE = ['devices', 'nodeKey', 'authorized', 'expires', 'keyExpiryDisabled', 'user', 'tags'];
const TOKEN_BYTES = 64 * 1024;
/** A token is not used shortly before its expiry, because it could expire during the request. */
const TOKEN_MARGIN_MS = 60_000;
const TOKEN_SECONDS = 3600;

/**
 * Reads the node keys of all devices of a tailnet. Devices that are not authorized, or whose key has expired by the clock
 * of the API, are left out: other nodes do not talk to them either.
 */
export function tailscaleDevices(config: TailscaleApiSourceConfig, now: () => number): () => Promise<NodeList> {
  const timeoutMs = config.timeoutSeconds * 1000;
  const base = baseUrl(config.baseUrl);
  const credential = openCredential(config, base, timeoutMs, now);
  // Without "fields=all": the default has the node key, and "all" adds only routes and connectivity, which are most of the bytes.
  const url = `${base}/api/v2/tailnet/${encodeURIComponent(config.tailnet)}/devices`;
  return async () => {
    const token = await credential.read();
    try {
      const headers = { Authorization: `Bearer ${token}`, Accept: 'application/json' };
      const { value, answeredAt } = await requestDatedJson({
        url,
        method: 'GET',
        headers,
        timeoutMs,
        limitBytes: DEVICES_BYTES,
        secret: token,
        decisive: DECISIVE,
      });
      return nodesOf(value, url, 'devices', (device) => isMember(device, answeredAt ?? now()), factsOf);
    } catch (error) {
      if (error instanceof SourceFailure && error.kind === 'answer') credential.forget();
      throw error;
    }
  };
}

function factsOf({ hostname, name, user, tags }: ListedNode): NodeFacts {
  return nodeFacts(hostname || name, user, tags);
}

function isMember(device: ListedNode, now: number): boolean {
  if (device['authorized'] === false) return false;
  const { keyExpiryDisabled, expires } = device;
  if (keyExpiryDisabled === true || typeof expires !== 'string') return true;
  const expiry = Date.parse(expires);
  // Go's zero time means "never".
  return Number.isNaN(expiry) || expiry <= 0 || expiry > now;
}

interface Credential {
  read(): Promise<string>;
  /** Forgets the token: it may have been revoked. */
  forget(): void;
}

function openCredential(
  config: TailscaleApiSourceConfig,
  base: string,
  timeoutMs: number,
  now: () => number,
): Credential {
  const apiKey = openSecret(config.apiKey, config.apiKeyFile);
  if (apiKey !== null) return { read: apiKey, forget: () => undefined };
  const secret = openSecret(config.clientSecret, config.clientSecretFile)!;
  return new OauthToken(`${base}/api/v2/oauth/token`, config.clientId ?? '', secret, timeoutMs, now);
}

/** An access token from the client-credentials flow, used until shortly before its expiry. */
class OauthToken implements Credential {
  readonly #url: string;
  readonly #clientId: string;
  readonly #secret: Secret;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #token: { readonly text: string; readonly until: number } | null = null;

  constructor(url: string, clientId: string, secret: Secret, timeoutMs: number, now: () => number) {
    this.#url = url;
    this.#clientId = clientId;
    this.#secret = secret;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
  }

  async read(): Promise<string> {
    if (this.#token !== null && this.#now() < this.#token.until) return this.#token.text;
    const secret = await this.#secret();
    const form = { client_id: this.#clientId, client_secret: secret, grant_type: 'client_credentials' };
    const answer = await requestJson({
      url: this.#url,
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: new URLSearchParams(form).toString(),
      timeoutMs: this.#timeoutMs,
      limitBytes: TOKEN_BYTES,
      secret,
      decisive: ['access_token', 'expires_in'],
    });
    const { access_token: text, expires_in: seconds } = (answer ?? {}) as Record<string, unknown>;
    if (typeof text !== 'string' || !/^[\x21-\x7e]+$/.test(text)) {
      throw new SourceFailure('answer', `${redactUrl(this.#url)}: the OAuth answer has no access token`);
    }
    const lifeMs = (typeof seconds === 'number' ? seconds : TOKEN_SECONDS) * 1000;
    this.#token = { text, until: this.#now() + Math.max(lifeMs - TOKEN_MARGIN_MS, lifeMs / 2) };
    return text;
  }

  forget(): void {
    this.#token = null;
  }
}
