import path from 'node:path';
import { networkInterfaces } from 'node:os';
import { ipFamily } from '../../base/ip-address.ts';
import { isPublicIp } from '../../base/public-ip.ts';
import { hostName, ips, webAddress, type Value } from '../../config/schema/values.ts';
import type { Admission, AnswerSource, Certificate, Network, SetupAnswers } from './answers.ts';
import type { Choice, TextCheck } from './prompt.ts';

const TERMS = 'https://letsencrypt.org/repository/';
const FILE: TextCheck = (text) => (path.isAbsolute(text) ? null : 'an absolute path');
const NOT_EMPTY: TextCheck = (text) => (/^\S+$/.test(text) ? null : 'one word');
const URL_TEXT = checkBy(webAddress('https', 'http'));

const NETWORKS: readonly Choice[] = [
  { name: 'tailscale', text: 'Tailscale' },
  { name: 'headscale', text: 'Headscale' },
];
const KEYS: Choice = { name: 'keys', text: 'a file with their node keys' };
const WEBHOOK: Choice = { name: 'webhook', text: 'a web service that is asked, as with derper -verify-client-url' };
const TAILSCALED: Choice = { name: 'tailscaled', text: 'the tailscaled of this machine is asked' };
const WAYS: Readonly<Record<Network, readonly Choice[]>> = {
  tailscale: [
    { name: 'tailscale-api', text: 'all devices of the tailnet, read from the Tailscale API' },
    TAILSCALED,
    KEYS,
    WEBHOOK,
  ],
  headscale: [
    { name: 'headscale', text: 'all nodes of the Headscale server, which is asked about each' },
    { name: 'headscale-api', text: 'the same with an API key: works while Headscale is down' },
    TAILSCALED,
    KEYS,
    WEBHOOK,
  ],
};

/**
 * Asks for all answers, in order. `folder` is the folder for files that belong to the configuration. `source` lists
 * missing and wrong answers; the result must not be used when there are any.
 */
export async function askAll(source: AnswerSource, folder: string): Promise<SetupAnswers> {
  const host = await source.text(
    'hostname',
    'Public name or IP address of this relay',
    checkBy(hostName()),
    source.isInteractive ? machineAddress() : undefined,
  );
  const listed = source.given('public-ip');
  const publicIps =
    listed === undefined ? (ipFamily(host) === 0 ? [] : [host]) : listed.split(',').map((ip) => ip.trim());
  if (listed !== undefined && !ips().schema.safeParse(listed).success) {
    source.wrong.push(`--public-ip: found "${listed}"; allowed: ${ips().allowed}`);
  }
  const network = await source.choice('network', 'Which network uses it?', NETWORKS);
  const admission = await askAdmission(source, network === 'headscale' ? 'headscale' : 'tailscale', folder);
  const certificate = await askCertificate(source, host);
  return { host, publicIps, network: network as Network, admission, certificate, secrets: source.secrets };
}

async function askAdmission(source: AnswerSource, network: Network, folder: string): Promise<Admission> {
  if (source.given('open') !== undefined) {
    if (source.given('admit') !== undefined) source.wrong.push('--open: cannot be used together with --admit');
    return { kind: 'open' };
  }
  const way = await source.choice('admit', 'Who may use the relay?', WAYS[network]);
  switch (way) {
    case 'headscale':
      return { kind: way, url: await headscaleUrl(source) };
    case 'headscale-api': {
      const url = await headscaleUrl(source);
      const question = 'API key, from "headscale apikeys create --expiration 999d"';
      return {
        kind: way,
        url,
        apiKeyFile: await source.secretFile('api-key-file', question, path.join(folder, 'headscale-api-key')),
      };
    }
    case 'tailscale-api':
      return askTailscale(source, folder);
    case 'tailscaled':
      return { kind: way };
    case 'webhook':
      return { kind: way, url: await source.text('webhook-url', 'URL of the web service', URL_TEXT) };
    default:
      return {
        kind: 'keys',
        allowFile:
          way === ''
            ? ''
            : await source.text('allow-file', 'File with the node keys', FILE, path.join(folder, 'allowed-keys')),
      };
  }
}

async function askTailscale(source: AnswerSource, folder: string): Promise<Admission> {
  const apiKeyFile = source.given('api-key-file');
  if (apiKeyFile !== undefined) return { kind: 'tailscale-api', apiKeyFile };
  const clientId = await source.text(
    'client-id',
    'ID of an OAuth client with the scope "Devices: Core: Read" (https://login.tailscale.com/admin/settings/oauth)',
    NOT_EMPTY,
  );
  const file = path.join(folder, 'tailscale-oauth-secret');
  return {
    kind: 'tailscale-api',
    clientId,
    clientSecretFile: await source.secretFile('client-secret-file', 'Its secret', file),
  };
}

function headscaleUrl(source: AnswerSource): Promise<string> {
  return source.text('headscale-url', 'URL of the Headscale server', URL_TEXT);
}

async function askCertificate(source: AnswerSource, host: string): Promise<Certificate> {
  const files: Choice = { name: 'files', text: 'from files that another program renews (certbot, lego, …)' };
  const own: Choice = { name: 'self-signed', text: 'the relay makes its own, and the DERP map pins it' };
  const acme: Choice = { name: 'acme', text: "from Let's Encrypt; TCP 80 or 443 of the name must lead here" };
  const choices = ipFamily(host) === 0 ? [acme, own, files] : [own, files, acme];
  const kind = await source.choice('certificate', 'Where does the certificate come from?', choices);
  if (kind === 'files') {
    const folder = `/etc/letsencrypt/live/${host}`;
    return {
      kind,
      file: await source.text('certificate-file', 'File with the chain (PEM)', FILE, `${folder}/fullchain.pem`),
      keyFile: await source.text('certificate-key-file', 'File with its key (PEM)', FILE, `${folder}/privkey.pem`),
    };
  }
  if (kind !== 'acme') return { kind: 'self-signed' };
  const agrees = await source.agrees('agree-terms', `Have you read the terms at ${TERMS}, and do you agree?`);
  if (!agrees && source.missing.length === 0)
    source.wrong.push("without agreement, Let's Encrypt gives no certificate");
  return { kind, email: source.given('email') ?? null };
}

function checkBy<T>(value: Value<T>): TextCheck {
  return (text) => (value.schema.safeParse(text).success ? null : value.allowed);
}

/** Returns a public address of this machine; undefined behind NAT. */
function machineAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = all.filter(({ address }) => isPublicIp(address));
  return (found.find(({ family }) => family === 'IPv4') ?? found[0])?.address;
}
