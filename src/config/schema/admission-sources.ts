import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { choice, filePath, integer, text, toggle, webAddress, type Value } from './values.ts';

/** The field of every source. */
interface NamedSource {
  /** Appears in logs and metrics; unique. */
  readonly name: string;
}

/** Settings of every source that sends requests. */
interface RemoteSource extends NamedSource {
  /** Admit when the source cannot be reached. */
  readonly failOpen: boolean;
  /** Seconds between two checks of connected keys. */
  readonly refreshSeconds: number;
  /** Seconds for which the last good answer counts while the source is down. */
  readonly keepSeconds: number;
}

/** A secret, in at most one of two fields: `N` has the form `env:NAME`, `NFile` is a path. */
type SecretFields<N extends string> = Readonly<Partial<Record<N | `${N}File`, string | undefined>>>;

export interface KeysSourceConfig extends NamedSource {
  readonly kind: 'keys';
  /** At least one of the two files is set. */
  readonly allowFile?: string | undefined;
  readonly denyFile?: string | undefined;
  readonly pollSeconds: number;
  readonly keepSeconds: number;
}

export interface TailscaleApiSourceConfig extends RemoteSource, SecretFields<'apiKey' | 'clientSecret'> {
  readonly kind: 'tailscale-api';
  readonly tailnet: string;
  readonly baseUrl: string;
  readonly clientId?: string | undefined;
  readonly timeoutSeconds: number;
}

export interface HeadscaleSourceConfig extends RemoteSource, SecretFields<'apiKey'> {
  readonly kind: 'headscale';
  readonly url: string;
  readonly mode: 'verify' | 'api';
  readonly cacheSeconds: number;
  readonly maxConcurrent: number;
  readonly timeoutSeconds: number;
}

interface WebhookSourceConfig extends RemoteSource, SecretFields<'token'> {
  readonly kind: 'webhook';
  readonly url: string;
  readonly cacheSeconds: number;
  readonly maxConcurrent: number;
  readonly timeoutSeconds: number;
}

interface TailscaledSourceConfig extends RemoteSource {
  readonly kind: 'tailscaled';
  readonly socket: string;
  readonly cacheSeconds: number;
  readonly maxConcurrent: number;
  readonly timeoutSeconds: number;
}

/** One entry of `admission.sources`. */
export type AdmissionSourceConfig =
  KeysSourceConfig | TailscaleApiSourceConfig | HeadscaleSourceConfig | WebhookSourceConfig | TailscaledSourceConfig;

const ENV_REFERENCE = /^env:[A-Za-z_][A-Za-z0-9_]*$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/;
const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 365 * DAY_SECONDS;
/**
 * Default of `keepSeconds` for whole lists. It is long, because the operator gets a warning while the source is down.
 */
const KEEP_LIST_SECONDS = DAY_SECONDS;
const KEEP_ANSWER_SECONDS = 3600;
/** Time limit in seconds that the reference has for an admission URL (protocol reference §4.9). */
const ASK_SECONDS = 5;

const SOCKET = process.platform === 'darwin' ? '/var/run/tailscaled.socket' : '/var/run/tailscale/tailscaled.sock';

/**
 * Returns a value for the address of a service with known paths. A known path that was copied along with the address is
 * removed.
 */
function serviceAddress(): Value<string> {
  const address = webAddress('https', 'http');
  const schema = address.schema
    .refine((url) => !url.includes('?') && !url.includes('#'))
    .transform((url) => {
      const { origin, pathname } = new URL(url);
      return [origin, ...withoutKnownPath(pathname.split('/'))].join('/');
    });
  return { ...address, schema, allowed: `${address.allowed}, without anything behind ? or #` };
}

/** Returns the parts of a path before the API of Headscale or Tailscale, and before the `/verify` of derper. */
function withoutKnownPath(path: readonly string[]): string[] {
  const parts = path.filter((part) => part !== '');
  const api = parts.findIndex((part, i) => part === 'api' && /^v\d$/.test(parts[i + 1] ?? ''));
  const kept = api < 0 ? parts : parts.slice(0, api);
  while (/^(?:verify|api)$/i.test(kept.at(-1) ?? '')) kept.pop();
  return kept;
}

function secret(help: string): z.ZodType<string | undefined> {
  return optionalKey(text(ENV_REFERENCE, 'env: and the name of an environment variable that holds it'), help, {
    secret: true,
  });
}

const name = optionalKey(
  text(NAME, 'up to 32 letters, digits, dots, dashes'),
  'Name of the source in logs and metrics.',
  {
    computed: 'the kind',
  },
);
const keepSeconds = (initial: number): z.ZodType<number> =>
  key(
    integer(0, YEAR_SECONDS, 'seconds'),
    initial,
    'Seconds that the last good answer stays valid while the source is down.',
  );
const remote = (refresh: number, keep: number) => ({
  failOpen: key(
    toggle(),
    false,
    'Admit every client while the source cannot be reached and there is no earlier answer.',
  ),
  refreshSeconds: key(
    integer(1, DAY_SECONDS, 'seconds'),
    refresh,
    'Seconds between refreshes. A connection whose key is no longer admitted is closed within this time.',
  ),
  keepSeconds: keepSeconds(keep),
  timeoutSeconds: key(integer(1, 60, 'seconds'), ASK_SECONDS, 'Seconds to wait for the answer to one request.'),
});
const asking = () => ({
  cacheSeconds: key(
    integer(0, 3600, 'seconds'),
    5,
    'Seconds that an answer is kept for more connections of the same key; 0 asks for each connection.',
  ),
  maxConcurrent: key(
    integer(1, 1024),
    32,
    'Largest number of requests to the source at the same time; other connections wait.',
  ),
});

type Refuse = (key: string, message: string) => void;

/** Refuses a secret in both fields and, with `isNeeded`, one in neither. */
function oneSecret(values: Readonly<Record<string, unknown>>, field: string, refuse: Refuse, isNeeded: boolean): void {
  const file = `${field}File`;
  if (values[field] !== undefined && values[file] !== undefined) refuse(file, `cannot be used together with ${field}`);
  if (isNeeded && values[field] === undefined && values[file] === undefined)
    refuse(field, `is missing: ${field} or ${file} is needed`);
}

/** A source as it is written: its name may be left out. */
type Unnamed<T> = Omit<T, 'name'> & { readonly name?: string | undefined };

type SourceSchemas = {
  readonly [K in AdmissionSourceConfig['kind']]: z.ZodType<Unnamed<Extract<AdmissionSourceConfig, { kind: K }>>>;
};

/** The schema of each kind of source. */
export const admissionSourceKinds: SourceSchemas = {
  keys: section(
    'Files with node keys.',
    {
      kind: key(choice('keys'), 'keys', 'The kind of source.'),
      name,
      allowFile: optionalKey(filePath(), 'File with the node keys that are admitted.'),
      denyFile: optionalKey(
        filePath(),
        'File with the node keys that are refused, even if another source admits them.',
      ),
      pollSeconds: key(integer(1, DAY_SECONDS, 'seconds'), 2, 'Seconds between checks of the files.'),
      keepSeconds: keepSeconds(KEEP_LIST_SECONDS),
    },
    {
      check: (values, refuse) => {
        if (values.allowFile === undefined && values.denyFile === undefined)
          refuse('allowFile', 'is missing: allowFile, denyFile or both are needed');
      },
    },
  ),
  'tailscale-api': section(
    'The devices of a tailnet, read from the Tailscale API.',
    {
      kind: key(choice('tailscale-api'), 'tailscale-api', 'The kind of source.'),
      name,
      tailnet: key(text(/^[^/?#\s]+$/, 'a tailnet, or - for that of the key'), '-', 'The tailnet.'),
      baseUrl: key(serviceAddress(), 'https://api.tailscale.com', 'URL of the API.'),
      apiKey: secret('API key of the tailnet, as env:NAME.'),
      apiKeyFile: optionalKey(filePath(), 'File with the API key of the tailnet.'),
      clientId: optionalKey(
        text(/^\S+$/, 'the ID of an OAuth client'),
        'ID of an OAuth client with devices:core:read.',
      ),
      clientSecret: secret('Secret of the OAuth client, as env:NAME.'),
      clientSecretFile: optionalKey(filePath(), 'File with the secret of the OAuth client.'),
      ...remote(60, KEEP_LIST_SECONDS),
    },
    {
      check: (values, refuse) => {
        const hasKey = values.apiKey !== undefined || values.apiKeyFile !== undefined;
        const hasSecret = values.clientSecret !== undefined || values.clientSecretFile !== undefined;
        const isOauth = values.clientId !== undefined || hasSecret;
        if (isOauth && hasKey) refuse('clientId', 'cannot be used together with an API key');
        if (hasSecret && values.clientId === undefined)
          refuse('clientId', 'is missing: the client secret belongs to one');
        oneSecret(values, 'apiKey', refuse as Refuse, !isOauth);
        oneSecret(values, 'clientSecret', refuse as Refuse, values.clientId !== undefined);
      },
    },
  ),
  headscale: section(
    'The nodes of a Headscale server.',
    {
      kind: key(choice('headscale'), 'headscale', 'The kind of source.'),
      name,
      url: optionalKey(serviceAddress(), 'URL of the Headscale server. A /verify at its end is ignored.'),
      mode: optionalKey(
        choice('verify', 'api'),
        'How the nodes are checked. verify: ask /verify about each connection. api: read the list of all nodes, with an API key.',
        { computed: 'api with an API key, else verify' },
      ),
      apiKey: secret('API key of the server, as env:NAME.'),
      apiKeyFile: optionalKey(filePath(), 'File with the API key of the server.'),
      ...asking(),
      ...remote(30, KEEP_LIST_SECONDS),
    },
    {
      check: (values, refuse) => {
        if (values.url === undefined) refuse('url', 'is missing');
        if (values.mode !== 'verify') oneSecret(values, 'apiKey', refuse as Refuse, values.mode === 'api');
        else if (values.apiKey !== undefined) refuse('apiKey', 'cannot be used with mode verify');
        else if (values.apiKeyFile !== undefined) refuse('apiKeyFile', 'cannot be used with mode verify');
      },
      complete: (values) => {
        const hasKey = values.apiKey !== undefined || values.apiKeyFile !== undefined;
        return { ...values, url: values.url ?? '', mode: values.mode ?? (hasKey ? 'api' : 'verify') };
      },
    },
  ),
  webhook: section(
    "A web service that decides about each connection, as with derper's -verify-client-url.",
    {
      kind: key(choice('webhook'), 'webhook', 'The kind of source.'),
      name,
      url: optionalKey(webAddress('https', 'http'), 'URL of the web service.'),
      token: secret('Bearer token for the web service, as env:NAME.'),
      tokenFile: optionalKey(filePath(), 'File with the bearer token.'),
      ...asking(),
      ...remote(60, KEEP_ANSWER_SECONDS),
    },
    {
      check: (values, refuse) => {
        if (values.url === undefined) refuse('url', 'is missing');
        oneSecret(values, 'token', refuse as Refuse, false);
      },
      complete: (values) => ({ ...values, url: values.url ?? '' }),
    },
  ),
  tailscaled: section("The tailscaled on this machine, as with derper's -verify-clients.", {
    kind: key(choice('tailscaled'), 'tailscaled', 'The kind of source.'),
    name,
    socket: key(filePath(), SOCKET, 'The Unix socket of tailscaled.'),
    ...asking(),
    ...remote(60, KEEP_ANSWER_SECONDS),
  }),
};
