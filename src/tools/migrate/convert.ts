/**
 * Converts derper's flags to our configuration, for `towpath migrate derper`. This file converts each flag;
 * `go-flags.ts` reads them as Go does; `draft.ts` has the resulting configuration.
 */
import { fromCurrentDirectory } from '../../base/current-directory.ts';
import { errorMessage } from '../../base/errors.ts';
import { splitList } from '../../config/schema/values.ts';
import { formatHostPort, ipFamily, canonicalIp } from '../../base/ip-address.ts';
import { redactUrl } from '../../base/redact-url.ts';
import { convertCertificate } from './certificate.ts';
import { Draft } from './draft.ts';
import { goBool, goInt, parseGoDuration, parseGoFlags, usage, type GoFlagKind, type GoFlags } from './go-flags.ts';
import { parseRateConfig } from './rate-config.ts';

/** The flags of derper v1.102 (protocol reference §7.1). */
export const DERPER_FLAGS: Readonly<Record<string, GoFlagKind>> = {
  dev: 'bool',
  version: 'bool',
  a: 'string',
  'http-port': 'int',
  'stun-port': 'int',
  c: 'string',
  certmode: 'string',
  certdir: 'string',
  hostname: 'string',
  'acme-eab-kid': 'string',
  'acme-eab-key': 'string',
  'acme-email': 'string',
  'acme-ip-certs': 'bool',
  stun: 'bool',
  derp: 'bool',
  home: 'string',
  'mesh-psk-file': 'string',
  'mesh-with': 'string',
  'secrets-url': 'string',
  'secrets-path-prefix': 'string',
  'secrets-cache-dir': 'string',
  'bootstrap-dns-names': 'string',
  'unpublished-bootstrap-dns-names': 'string',
  'disallow-app-names': 'string',
  'verify-clients': 'bool',
  'verify-client-url': 'string',
  'verify-client-url-fail-open': 'bool',
  socket: 'string',
  'accept-connection-limit': 'float',
  'accept-connection-burst': 'int',
  'rate-config': 'string',
  'tcp-keepalive-time': 'duration',
  'tcp-user-timeout': 'duration',
  'tcp-write-timeout': 'duration',
  ace: 'bool',
};

/** Why a flag has no equivalent. */
export const NO_EQUIVALENT: Readonly<Record<string, string>> = {
  version: 'it only prints the version; "towpath --version" does too',
  'secrets-url': 'it fetches the mesh key: put the key into a file and set mesh.keyFile',
  'secrets-path-prefix': 'it belongs to -secrets-url',
  'secrets-cache-dir': 'it belongs to -secrets-url',
  'accept-connection-limit':
    'towpath limits each source and all handshakes together (limits, sources); the defaults are right for nearly all relays',
  'accept-connection-burst': 'it belongs to -accept-connection-limit',
  'tcp-keepalive-time': 'towpath finds dead connections with its own keep-alive frames (limits.keepAliveSeconds)',
  'tcp-user-timeout': 'towpath closes connections that read nothing for limits.writeDeadlineMs',
  ace: "towpath does not have derper's CONNECT proxy",
};

/** `$NAME` or `${NAME}`. */
const VARIABLE = /\$(?:[A-Z_][A-Z0-9_]*|\{[A-Za-z_][^}]*\})/g;
const DEFAULT_KEY_FILE = '/var/lib/derper/derper.key';
const DEV_ADDRESS = ':3340';
const HTTPS_PORT = 443;
const SERVICES: Readonly<Record<string, number>> = { https: 443, http: 80 };
const ADMIN = '127.0.0.1:9090';

/** The configuration that does what derper does with these arguments. Throws `TOWPATH_USAGE` when derper would refuse them. */
export function convertDerper(argv: readonly string[]): Draft {
  refuseVariables(argv);
  // The user may have copied the whole command line.
  const flags = parseGoFlags(argv[0]?.startsWith('-') === false ? argv.slice(1) : argv, DERPER_FLAGS);
  const draft = new Draft();
  const isTls = convertAddresses(flags, draft);
  convertKeyFile(flags, draft);
  convertCertificate(flags, draft, isTls);
  convertHome(flags, draft);
  convertAdmission(flags, draft);
  convertNames(flags, draft);
  convertLimits(flags, draft);
  convertMesh(flags, draft);
  if (!bool(flags, 'derp', true)) {
    draft.remark(
      '-derp=false: towpath always relays. For STUN only, keep derper, or set STUNOnly for the node in the DERP map.',
    );
  }
  for (const [name, reason] of Object.entries(NO_EQUIVALENT)) {
    if (flags.has(name)) draft.remark(`-${name} has no equivalent: ${reason}.`);
  }
  return draft;
}

/**
 * Refuses variables of a shell: command lines are often copied from a container's script, with names of variables
 * instead of values.
 */
function refuseVariables(argv: readonly string[]): void {
  const names = new Set(argv.flatMap((word) => word.match(VARIABLE) ?? []));
  if (names.size === 0) return;
  const what = names.size === 1 ? 'is a variable' : 'are variables';
  throw usage(
    `${[...names].join(', ')} ${what} of a shell, not ${names.size === 1 ? 'a value' : 'values'}`,
    'Write the values instead, or run the command in a shell in which they are set.',
  );
}

/** Converts the listen addresses. Returns whether derper uses TLS. */
function convertAddresses(flags: GoFlags, draft: Draft): boolean {
  const isDev = bool(flags, 'dev', false);
  const text = isDev ? DEV_ADDRESS : (flags.get('a') ?? ':443');
  const { host, port } = parseAddress(text);
  const isTls = !isDev && (port === HTTPS_PORT || flags.get('certmode') === 'manual');
  const ip = listenIp(host, draft);
  const listen = formatHostPort(ip, port);
  const httpPort = flags.has('http-port') ? goInt(flags.get('http-port')!) : 80;
  const http =
    isTls && httpPort >= 0 && !(httpPort === port && port !== 0)
      ? formatHostPort(ip, checkedPort('http-port', httpPort))
      : 'off';
  const stunPort = flags.has('stun-port') ? goInt(flags.get('stun-port')!) : 3478;
  const stun = bool(flags, 'stun', true) ? formatHostPort(ip, checkedPort('stun-port', stunPort)) : 'off';
  const isAdminTaken = listen === ADMIN || http === ADMIN;
  const admin: Record<string, string> = isAdminTaken ? { admin: '127.0.0.1:9091' } : {};
  draft.set({ listen, http, 'stun.listen': stun, ...admin });
  if (!isTls) plain(draft, port, isDev);
  return isTls;
}

function plain(draft: Draft, port: number, isDev: boolean): void {
  const words = isDev ? 'derper -dev speaks' : `derper speaks`;
  const isSet = draft.set(
    { transport: 'plain' },
    `On port ${port} ${words} HTTP without TLS. Only the proxies in proxy.trusted can connect then (docs/behind-a-proxy.md).`,
  );
  if (!isSet) draft.remark(`On port ${port} ${words} HTTP without TLS; towpath speaks TLS there.`);
}

/** Go's `host:port`, where the port may be the name of a service. */
function parseAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  const service = match?.[3] ?? '';
  const port = /^\d{1,5}$/.test(service) ? Number(service) : SERVICES[service];
  if (match === null || port === undefined || port > 65_535)
    throw usage(`-a: "${text}" is not an address such as :443`);
  return { host: match[1] ?? match[2] ?? '', port };
}

function listenIp(host: string, draft: Draft): string {
  if (host === '') return '::';
  if (ipFamily(host) !== 0) return canonicalIp(host);
  if (host === 'localhost') return '127.0.0.1';
  draft.remark(
    `-a: derper listens on the addresses of the name ${host}. towpath needs IP addresses, so it listens on all of this machine.`,
  );
  return '::';
}

function checkedPort(name: string, port: number): number {
  if (port < 0 || port > 65_535) throw usage(`-${name}: ${port} is not a port`);
  return port;
}

function convertKeyFile(flags: GoFlags, draft: Draft): void {
  if (bool(flags, 'dev', false)) {
    draft.set(
      { keyFile: fromCurrentDirectory('derper-dev.key') },
      'derper -dev makes a new key at each start; towpath keeps this one.',
    );
    return;
  }
  const path = flags.get('c') ?? '';
  if (path !== '') draft.set({ keyFile: fromCurrentDirectory(path) }, "derper's key file, unchanged.");
  else draft.set({ keyFile: DEFAULT_KEY_FILE }, "derper's key file when there is no -c.");
}

function convertHome(flags: GoFlags, draft: Draft): void {
  const home = flags.get('home') ?? '';
  if (home === '') {
    draft.set(
      { 'home.mode': 'full' },
      `derper's page says what the server is. towpath's default "neutral" tells scanners nothing.`,
    );
  } else if (home === 'blank') {
    draft.set({ 'home.mode': 'blank' });
  } else if (!draft.set({ 'home.mode': 'redirect', 'home.url': home })) {
    throw usage(`-home: "${home}" is neither empty, blank, nor a URL`);
  }
}

function convertAdmission(flags: GoFlags, draft: Draft): void {
  const denyApps = splitList(flags.get('disallow-app-names') ?? '');
  if (denyApps.length > 0) draft.set({ 'admission.denyApps': denyApps }, '-disallow-app-names');
  const url = flags.get('verify-client-url') ?? '';
  const socket = flags.get('socket') ?? '';
  if (bool(flags, 'verify-clients', false)) {
    const place: Record<string, string> = socket === '' ? {} : { socket: fromCurrentDirectory(socket) };
    draft.set({ 'admission.sources': [{ kind: 'tailscaled', ...place }] }, '-verify-clients');
    if (url === '') return;
    draft.remark(
      '-verify-client-url is left out: derper admits only clients that tailscaled and the URL both admit, but for towpath ' +
        'one source that admits the client is enough. To ask the URL instead, replace the source with: ' +
        `{ kind: webhook, url: ${JSON.stringify(url)}, failOpen: ${bool(flags, 'verify-client-url-fail-open', true)} }`,
    );
    return;
  }
  if (socket !== '') draft.remark('-socket has no effect without -verify-clients.');
  if (url === '') {
    draft.set(
      { 'admission.open': true },
      'Without -verify-clients and -verify-client-url, derper is open to everyone. docs/admission.md says how to restrict that.',
    );
    return;
  }
  const failOpen = bool(flags, 'verify-client-url-fail-open', true);
  const note = failOpen
    ? "-verify-client-url; failOpen: true is derper's default, false is safer."
    : '-verify-client-url';
  if (!draft.set({ 'admission.sources': [{ kind: 'webhook', url, failOpen }] }, note)) {
    throw usage(
      `-verify-client-url: ${redactUrl(url)} cannot be used: it must be a URL that starts with https:// or http://, without user and password`,
    );
  }
}

function convertNames(flags: GoFlags, draft: Draft): void {
  for (const [flag, key] of [
    ['bootstrap-dns-names', 'bootstrapDns.published'],
    ['unpublished-bootstrap-dns-names', 'bootstrapDns.unpublished'],
  ] as const) {
    const good: string[] = [];
    for (const name of splitList(flags.get(flag) ?? '')) {
      if (draft.set({ [key]: [...good, name] })) good.push(name);
      else draft.remark(`-${flag}: "${name}" is not a DNS name and is left out.`);
    }
  }
}

function convertLimits(flags: GoFlags, draft: Draft): void {
  const write = flags.get('tcp-write-timeout');
  if (write !== undefined) {
    const ms = Math.round(parseGoDuration(write) ?? 0);
    if (!draft.set({ 'limits.writeDeadlineMs': ms }, '-tcp-write-timeout')) {
      draft.remark(
        `-tcp-write-timeout ${write}: limits.writeDeadlineMs allows 100 ms to 10 minutes; the default of 20 s is used.`,
      );
    }
  }
  const path = flags.get('rate-config') ?? '';
  if (path === '') return;
  const name = fromCurrentDirectory(path);
  try {
    const { bytesPerSecond, burstBytes } = parseRateConfig(name);
    const isSet = draft.set(
      { 'fairness.perClient.bytesPerSecond': bytesPerSecond, 'fairness.perClient.burstBytes': burstBytes },
      `From ${name}. After a change here, send SIGHUP, as with derper.`,
    );
    if (!isSet) draft.remark(`-rate-config ${name}: the numbers are too large for fairness.perClient.`);
  } catch (error) {
    draft.remark(
      `-rate-config ${name}: ${errorMessage(error)}. Set fairness.perClient.bytesPerSecond and burstBytes by hand.`,
    );
  }
}

function convertMesh(flags: GoFlags, draft: Draft): void {
  const keyFile = flags.get('mesh-psk-file') ?? '';
  if (keyFile !== '') draft.set({ 'mesh.keyFile': fromCurrentDirectory(keyFile) }, "derper's mesh key, unchanged.");
  const good: string[] = [];
  for (const tuple of splitList(flags.get('mesh-with') ?? '')) {
    const [host = '', dialed] = tuple.split('/', 2);
    if (keyFile === '' || !draft.set({ 'mesh.with': [...good, host] })) {
      draft.remark(
        keyFile === ''
          ? `-mesh-with: ${tuple} is left out, because there is no -mesh-psk-file. Set mesh.keyFile and mesh.with.`
          : `-mesh-with: "${tuple}" is not a host and is left out.`,
      );
      continue;
    }
    good.push(host);
    if (dialed !== undefined && dialed !== host) {
      draft.remark(
        `-mesh-with: derper connects to ${dialed} for ${host}. towpath looks ${host} up: let that name lead there, for example in /etc/hosts.`,
      );
    }
  }
}

/** Returns the value of a boolean flag, or derper's default. */
function bool(flags: GoFlags, name: string, initial: boolean): boolean {
  const value = flags.get(name);
  return value === undefined ? initial : goBool(value);
}
