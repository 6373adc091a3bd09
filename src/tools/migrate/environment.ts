import { existsSync } from 'node:fs';
import { TowpathError } from '../../base/errors.ts';
import { ServiceLinks } from '../../config/service-links.ts';
import { convertDerper, DERPER_FLAGS, NO_EQUIVALENT } from './convert.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Prefixes of the variables of derper images, longer ones first. */
const PREFIXES = ['TAILSCALE_DERP_', 'DERPER_', 'DERP_'];
/** Variables whose name differs from their flag. Images use different names for the same flag. */
const ALIASES: Readonly<Record<string, string>> = {
  DOMAIN: 'hostname',
  HOST: 'hostname',
  ADDR: 'a',
  ADDRESS: 'a',
  LISTEN: 'a',
  CERT_MODE: 'certmode',
  CERT_DIR: 'certdir',
  CERTS: 'certdir',
  CONFIG: 'c',
  CONFIG_PATH: 'c',
  RUN_STUN: 'stun',
  RUN_DERP: 'derp',
  VERIFY_FAIL_OPEN: 'verify-client-url-fail-open',
  MESH_PSKFILE: 'mesh-psk-file',
  BOOTSTRAP_DNS: 'bootstrap-dns-names',
  UNPUBLISHED_DNS: 'unpublished-bootstrap-dns-names',
};
/** Variables of entry scripts, which derper itself does not have. */
const OF_SCRIPTS: Readonly<Record<string, string>> = {
  LOGFILE: 'the log goes to standard error, where Docker keeps it',
  LOG_LEVEL: 'write TOWPATH_LOG_LEVEL',
  VERBOSE: 'write TOWPATH_LOG_LEVEL=debug',
  VERSION: 'it chose the version of derper',
};
/** Folder of the certificates in these images, unless a variable sets it. */
const CERTIFICATES = '/app/certs';

/** The meaning of the variables of a derper image. */
export interface DerperEnvironment {
  /** derper's flags with the same meaning. */
  readonly argv: readonly string[];
  /** Variables without a meaning here: the name, and the reason. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * Reads the variables that images of derper take, such as `DERP_DOMAIN`. Null when none is set. Variables that
 * Kubernetes sets for a Service with a name starting with derp are ignored.
 */
export function readDerperVariables(env: Environment): DerperEnvironment | null {
  const links = new ServiceLinks(env);
  const flags = new Map<string, string>();
  const refused = new Map<string, string>();
  for (const [variable, value = ''] of Object.entries(env)) {
    const name = shortName(variable);
    if (name === null || value === '' || links.has(variable)) continue;
    const flag = flagOf(name);
    const reason = OF_SCRIPTS[name] ?? (flag === null ? null : (NO_EQUIVALENT[flag] ?? null));
    if (name === 'HTTPS_PORT' || name === 'PORT') flags.set('a', `:${value}`);
    else if (reason !== null) refused.set(variable, reason);
    else if (flag === null) refused.set(variable, 'no image of derper has this variable');
    else flags.set(flag, value);
  }
  if (flags.size === 0) return null;
  if (flags.get('certmode') === 'manual' && !flags.has('certdir')) flags.set('certdir', CERTIFICATES);
  return { argv: [...flags].map(([flag, value]) => `-${flag}=${value}`), refused };
}

/**
 * Converts the variables of a derper image to a configuration, with remarks for the user. Null without such variables.
 * Throws `TOWPATH_CONFIG_INVALID` when one of them has no meaning here.
 */
export function derperConfiguration(env: Environment): { values: object; remarks: readonly string[] } | null {
  const variables = readDerperVariables(env);
  if (variables === null) return null;
  const { argv, refused } = variables;
  const problems = [...refused].map(([name, reason]) => `${name}: ${reason}; remove it`);
  const hostname = env['TOWPATH_HOSTNAME'] ?? '';
  const named = argv.some((flag) => flag.startsWith('-hostname='));
  if (!named && hostname === '') problems.push('DERP_DOMAIN is missing: set it to the name or address of this relay');
  if (problems.length > 0) {
    throw new TowpathError('TOWPATH_CONFIG_INVALID', problems.join('\n'), {
      hint: 'docs/migrate-from-derper.md lists the variables of derper images.',
    });
  }
  const draft = convertDerper(named ? argv : [...argv, `-hostname=${hostname}`]);
  return { values: ownFiles(draft.values, argv), remarks: draft.remarks };
}

/** Uses towpath's own paths for files that no variable names and that do not exist. */
function ownFiles(values: Record<string, unknown>, argv: readonly string[]): object {
  const { keyFile, certificate, ...rest } = values;
  const isGiven = (flag: string): boolean =>
    argv.some((one) => one.startsWith(`-${flag}=`) && one !== `-certdir=${CERTIFICATES}`);
  const own: Record<string, unknown> = rest;
  if (typeof keyFile === 'string' && (isGiven('c') || existsSync(keyFile))) own['keyFile'] = keyFile;
  if (typeof certificate !== 'object' || certificate === null) return own;
  const { directory, ...others } = certificate as Record<string, unknown>;
  const keepsDirectory = typeof directory === 'string' && (isGiven('certdir') || existsSync(directory));
  own['certificate'] = keepsDirectory ? certificate : others;
  return own;
}

function shortName(variable: string): string | null {
  const prefix = PREFIXES.find((one) => variable.startsWith(one));
  return prefix === undefined ? null : variable.slice(prefix.length);
}

function flagOf(name: string): string | null {
  const flag = ALIASES[name] ?? name.toLowerCase().replaceAll('_', '-');
  const words = [flag, flag.replaceAll('-', '')];
  return words.find((word) => Object.hasOwn(DERPER_FLAGS, word)) ?? null;
}
