import { existsSync } from 'node:fs';
import { BUILD_DATE_MS } from '../../certificates/build-date.ts';
import type { AdmissionSourceConfig } from '../../config/schema/admission-sources.ts';
import type { Config } from '../../config/schema.ts';
import { errorMessage } from '../../base/errors.ts';
import { openFileLimit } from '../../base/open-files.ts';
import { readSystemFile } from '../../base/proc-file.ts';
import { requestHttp } from '../../transport/http/request.ts';
import type { Transport } from '../../transport/port.ts';
import { RUNTIME, VERSION } from '../../base/version.ts';
import { check, type Check } from './check.ts';
import type { Findings } from './examined-relay.ts';

/** Open files besides the connections: listeners, logs, lists and those of the runtime. */
const OTHER_FILES = 100;
/** With this part of the files that are needed, nearly all connections still fit. */
const FILES_WARNING_SHARE = 0.9;
/** systemd-timesyncd creates this file when it has set the clock. */
const TIMESYNC_MARK = '/run/systemd/timesync/synchronized';
/** A Date header has whole seconds, and a slow answer adds some. */
const SKEW_WARNING_S = 10;
/** Certificates and control servers stop working somewhere from here on. */
const SKEW_FAILURE_S = 300;

/** Kernel settings that make a relay slow when they are lower than this. */
const KERNEL_LEAST = [
  ['net/core/somaxconn', 511, 'connections that wait to be accepted'],
  ['net/core/rmem_max', 212_992, 'the receive buffer of STUN'],
] as const;
const PROXY_VARIABLES = ['HTTPS_PROXY'] as const;
const NOTSENT_LOWAT = 'net/ipv4/tcp_notsent_lowat';
/** The value that reference measurements recommend. By default there is no limit. */
const NOTSENT_LOWAT_BYTES = 131_072;

/** The version of towpath and of its runtime. */
export function versionCheck(transport: Transport): Check {
  const features = transport.features.length === 0 ? '' : ` (${transport.features.join(', ')})`;
  return check('version', 'ok', `towpath ${VERSION} on ${RUNTIME}${features}, ${process.platform} ${process.arch}`, {
    details: { version: VERSION, runtime: RUNTIME, features: transport.features },
  });
}

/** Whether the relay may open as many files as it may have connections. */
export function fileLimitCheck(config: Config, relay: Findings['relay']): Check {
  if (relay === null) {
    return check('file-limit', 'skipped', 'the relay runs as another user; run the doctor as that user or as root');
  }
  const who = relay === 'none' ? 'a program started from here' : 'the relay';
  const limit = openFileLimit(relay === 'none' ? 'self' : relay.pid);
  if (limit === null) return check('file-limit', 'skipped', 'this system does not show it (no /proc)');
  const { connections } = config.limits;
  const needed = connections + OTHER_FILES;
  const details = { limit: Number.isFinite(limit) ? limit : null, needed };
  const limitText = Number.isFinite(limit) ? String(limit) : 'any number of';
  if (limit >= needed) {
    return check('file-limit', 'ok', `${who} may open ${limitText} files; ${connections} connections need ${needed}`, {
      details,
    });
  }
  // The relay keeps its connections below the limit, so that a few too few do no harm.
  return check(
    'file-limit',
    limit >= needed * FILES_WARNING_SHARE ? 'warning' : 'failed',
    `${who} may open ${limitText} files only; ${connections} connections need ${needed}`,
    {
      fix: `Raise it (systemd: LimitNOFILE=${needed}; container: --ulimit nofile=${needed}; shell: ulimit -n ${needed}), or lower limits.connections.`,
      details,
    },
  );
}

/** Kernel settings. Those of a container are its own, so they are read where the doctor runs. */
export function kernelCheck(): Check {
  const low: string[] = [];
  const values: Record<string, number> = {};
  for (const [name, least, what] of KERNEL_LEAST) {
    const value = readSetting(name);
    if (value === null) continue;
    values[settingName(name)] = value;
    if (value < least) low.push(`${settingName(name)} is ${value} (${what}; ${least} or more is usual)`);
  }
  const lowat = readSetting(NOTSENT_LOWAT);
  if (lowat !== null) values[settingName(NOTSENT_LOWAT)] = lowat;
  if (Object.keys(values).length === 0)
    return check('kernel', 'skipped', 'this system does not show them (no /proc/sys)');
  const details = values;
  if (low.length > 0) {
    return check('kernel', 'warning', low.join('; '), {
      fix: 'Set them in /etc/sysctl.d/ and run "sysctl --system".',
      details,
    });
  }
  if (lowat !== null && lowat > NOTSENT_LOWAT_BYTES) {
    return check(
      'kernel',
      'ok',
      `good; with net.ipv4.tcp_notsent_lowat=${NOTSENT_LOWAT_BYTES}, slow readers need less kernel memory`,
      {
        details,
      },
    );
  }
  return check(
    'kernel',
    'ok',
    Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
    { details },
  );
}

function settingName(path: string): string {
  return path.replaceAll('/', '.');
}

function readSetting(name: string): number | null {
  const text = readSystemFile(`/proc/sys/${name}`)?.trim();
  return text === undefined || !/^\d+$/.test(text) ? null : Number(text);
}

/** Whether a time service sets the clock. The kernel knows more, but the runtimes do not offer that system call. */
export function timeServiceCheck(): Check {
  return existsSync(TIMESYNC_MARK)
    ? check('time-service', 'ok', 'systemd-timesyncd has set the clock')
    : check('time-service', 'skipped', 'systemd-timesyncd does not run; the doctor cannot see other time services');
}

/** Whether the environment names a proxy. Tailscale's client on this machine uses it, so its results can differ. */
export function proxyVariableChecks(): Check[] {
  const set = PROXY_VARIABLES.flatMap((name) => [name, name.toLowerCase()]).filter(
    (name) => (process.env[name] ?? '') !== '',
  );
  if (set.length === 0) return [];
  const text = `${set.join(', ')} set: Tailscale's client on this machine uses this proxy; the checks below do not`;
  return [
    check('proxy-variables', 'warning', text, {
      fix: 'If the proxy does not forward DERP, add the name of the relay to NO_PROXY.',
    }),
  ];
}

/** Compares the clock with the Date header of a web service that the relay uses anyway. */
export async function clockCheck({ admission, certificate }: Config, timeoutMs: number): Promise<Check> {
  if (Date.now() < BUILD_DATE_MS) {
    return check(
      'clock',
      'failed',
      `the clock says ${new Date().toISOString()}, which is before this version of towpath was built`,
      {
        fix: 'Correct the clock, and run a time service (systemd-timesyncd, chrony).',
      },
    );
  }
  const usesAcme = certificate.mode === 'acme' || certificate.mode === 'auto';
  const [url] = [...admission.sources.flatMap(urlOf), ...(usesAcme ? [certificate.acme.directory] : [])];
  if (url === undefined) {
    return check('clock', 'skipped', `${new Date().toISOString()}; there is no other clock to compare it with`);
  }
  const startedAt = Date.now();
  let date: number;
  try {
    const response = await requestHttp({ url, method: 'HEAD', headers: {}, timeoutMs, limitBytes: 0 });
    date = Date.parse(response.headers.get('date') ?? '');
  } catch (error) {
    return check('clock', 'skipped', `${new URL(url).host} does not answer with the time: ${errorMessage(error)}`);
  }
  if (Number.isNaN(date)) return check('clock', 'skipped', `${new URL(url).host} does not send the time`);
  return judgeSkew(((startedAt + Date.now()) / 2 - date) / 1000, new URL(url).host);
}

function judgeSkew(seconds: number, host: string): Check {
  const size = Math.round(Math.abs(seconds));
  const details = { skewSeconds: seconds };
  if (size < SKEW_WARNING_S) return check('clock', 'ok', `agrees with ${host}`, { details });
  const text = `the clock is ${size} s ${seconds > 0 ? 'ahead of' : 'behind'} the clock of ${host}`;
  const fix = 'Correct the clock, and run a time service (systemd-timesyncd, chrony).';
  return check('clock', size < SKEW_FAILURE_S ? 'warning' : 'failed', text, { fix, details });
}

function urlOf(source: AdmissionSourceConfig): string[] {
  switch (source.kind) {
    case 'webhook':
    case 'headscale':
      return [source.url];
    case 'tailscale-api':
      return [source.baseUrl];
    case 'keys':
    case 'tailscaled':
      return [];
  }
}
