import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { choice, filePath, integer, text, toggle, webAddress, type Value } from './values.ts';

/** What every source has. */
interface NamedSource {
  /** Appears in logs and metrics; unique. */
  readonly name: string;
}

/** What every source has that asks somebody else. */
interface RemoteSource extends NamedSource {
  /** Admit when there is no answer for want of a connection. */
  readonly failOpen: boolean;
  /** Seconds between two looks at keys that are connected. */
  readonly refreshSeconds: number;
  /** Seconds for which the last good answer counts while the source is down. */
  readonly keepSeconds: number;
}

/** A secret: at most one of the two. `apiKey` and its like are `env:NAME`. */
type SecretFields<N extends string> = Readonly<Partial<Record<N | `${N}File`, string | undefined>>>;

export interface KeysSourceConfig extends NamedSource {
  readonly kind: 'keys';
  /** At least one of the two is there. */
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
/** A list that is fetched as a whole may serve for long while its owner is down; the operator hears of it meanwhile. */
const KEEP_LIST_SECONDS = DAY_SECONDS;
const KEEP_ANSWER_SECONDS = 3600;
/** The reference gives an admission URL this time (protocol reference §4.9). */
const ASK_SECONDS = 5;

const SOCKET = process.platform === 'darwin' ? '/var/run/tailscaled.socket' : '/var/run/tailscale/tailscaled.sock';

/** Where a service is whose paths are known: what people copy along with its address is taken off. */
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

/** The parts of a path before those of the API of Headscale or Tailscale, and before the `/verify` that derper wants. */
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
    'Seconds for which the last good answer counts while the source is down.',
  );
const remote = (refresh: number, keep: number) => ({
  failOpen: key(toggle(), false, 'Admit everyone while the source cannot be reached and nothing is known from before.'),
  refreshSeconds: key(
    integer(1, DAY_SECONDS, 'seconds'),
    refresh,
    'Seconds between two refreshes; a connection whose key is not admitted any more ends within that time.',
  ),
  keepSeconds: keepSeconds(keep),
  timeoutSeconds: key(integer(1, 60, 'seconds'), ASK_SECONDS, 'Seconds that one request may take.'),
});
const asking = () => ({
  cacheSeconds: key(
    integer(0, 3600, 'seconds'),
    5,
    'Seconds for which an answer serves further connections of the same key; 0 asks for each.',
  ),
  maxConcurrent: key(integer(1, 1024), 32, 'Requests to the source at one time; further connections wait.'),
});

type Refuse = (key: string, message: string) => void;

/** A secret comes from one place, or from none. */
function oneSecret(values: Readonly<Record<string, unknown>>, field: string, refuse: Refuse, isNeeded: boolean): void {
  const file = `${field}File`;
  if (values[field] !== undefined && values[file] !== undefined) refuse(file, `is of no use together with ${field}`);
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
      denyFile: optionalKey(filePath(), 'File with the node keys that are refused, whatever other sources say.'),
      pollSeconds: key(integer(1, DAY_SECONDS, 'seconds'), 2, 'Seconds between two looks at the files.'),
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
      baseUrl: key(serviceAddress(), 'https://api.tailscale.com', 'Where the API is.'),
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
        if (isOauth && hasKey) refuse('clientId', 'is of no use together with an API key');
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
      url: optionalKey(serviceAddress(), 'Where the Headscale server is; /verify behind it is taken off.'),
      mode: optionalKey(
        choice('verify', 'api'),
        'verify asks /verify about each connection, api reads the list of all nodes with an API key.',
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
        else if (values.apiKey !== undefined) refuse('apiKey', 'is of no use with mode verify');
        else if (values.apiKeyFile !== undefined) refuse('apiKeyFile', 'is of no use with mode verify');
      },
      complete: (values) => {
        const hasKey = values.apiKey !== undefined || values.apiKeyFile !== undefined;
        return { ...values, url: values.url ?? '', mode: values.mode ?? (hasKey ? 'api' : 'verify') };
      },
    },
  ),
  webhook: section(
    'A web service that is asked about each connection, as with -verify-client-url of derper.',
    {
      kind: key(choice('webhook'), 'webhook', 'The kind of source.'),
      name,
      url: optionalKey(webAddress('https', 'http'), 'Where to ask.'),
      token: secret('Bearer token that is sent along, as env:NAME.'),
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
  tailscaled: section('The tailscaled of this machine, as with -verify-clients of derper.', {
    kind: key(choice('tailscaled'), 'tailscaled', 'The kind of source.'),
    name,
    socket: key(filePath(), SOCKET, 'The Unix socket of tailscaled.'),
    ...asking(),
    ...remote(60, KEEP_ANSWER_SECONDS),
  }),
};
