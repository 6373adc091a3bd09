import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AdmissionVerdict } from '../../relay/session/admission.ts';
import { openSourceAdmission } from '../../admission/open.ts';
import type { SourceAdmission } from '../../admission/source-admission.ts';
import type { AdmissionSourceConfig } from '../../config/schema/admission-sources.ts';
import { withTimeout } from '../probe/network.ts';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { redactUrl } from '../../base/redact-url.ts';
import { formatNodeKey, generateNodeKeyPair, shortKey } from '../../wire/keys.ts';
import { check, type Check } from './check.ts';
import type { ExaminedRelay } from './examined-relay.ts';

/** Address of the client in the requests to the sources. */
const ASKED_FROM = '127.0.0.1';
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Checks every admission source, and whether all of them together admit the given key. */
export async function admissionChecks(examined: ExaminedRelay): Promise<Check[]> {
  const { admission } = examined.config;
  const checks = await Promise.all(admission.sources.map((source) => sourceCheck(examined, source)));
  if (examined.nodeKey === null) return checks;
  return [...checks, await keyCheck(examined, examined.nodeKey)];
}

async function sourceCheck(examined: ExaminedRelay, source: AdmissionSourceConfig): Promise<Check> {
  const named = `${source.name} (${source.kind})`;
  try {
    return await withSources(examined, [source], async (admission) => {
      const key = examined.nodeKey ?? generateNodeKeyPair().publicKey;
      // A source with a request per key is known to work only after an answer.
      const verdict = await ask(admission, key, examined.timeoutMs);
      const state = admission.report().sources[0]!;
      if (state.problem !== null) {
        return check('admission-source', 'failed', `${named}: ${state.problem}`, { fix: sourceFix(source) });
      }
      const keys = state.keys === null ? 'answers' : `${state.keys} keys`;
      const said =
        examined.nodeKey === null ? '' : `; ${shortKey(key)} ${verdict.admitted ? 'is admitted' : 'is not known'}`;
      return check('admission-source', 'ok', `${named}: ${keys}${said}`, { details: { ...state, ...verdict } });
    });
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    const fix = error.hint ?? sourceFix(source);
    return check('admission-source', 'failed', `${named}: ${error.message}`, { fix });
  }
}

async function keyCheck(examined: ExaminedRelay, key: Buffer): Promise<Check> {
  const name = formatNodeKey(key);
  try {
    const verdict = await withSources(examined, examined.config.admission.sources, (admission) =>
      ask(admission, key, examined.timeoutMs),
    );
    if (verdict.admitted) return check('admission-key', 'ok', `${name} is admitted`);
    return check('admission-key', 'failed', `${name} is refused by ${verdict.source}: ${verdict.reason}`, {
      fix: 'Add the node to one of the sources (docs/admission.md), or remove it from the deny list.',
    });
  } catch (error) {
    return check('admission-key', 'failed', `${name}: ${errorMessage(error)}`, {
      fix: 'Fix the sources above first.',
    });
  }
}

/** Opens the sources with an empty cache, so that only their present answers count. */
async function withSources<T>(
  { config, clock, timeoutMs }: ExaminedRelay,
  sources: readonly AdmissionSourceConfig[],
  work: (admission: SourceAdmission) => Promise<T>,
): Promise<T> {
  const cacheDirectory = makeCacheDirectory();
  try {
    const open = config.admission.open && sources.length === config.admission.sources.length;
    const admission = openSourceAdmission({ open, cacheDirectory, sources }, { clock, log: SILENT, now: Date.now });
    try {
      await withTimeout(admission.start(), timeoutMs, 'no answer');
      return await work(admission);
    } finally {
      admission.stop();
    }
  } finally {
    rmSync(cacheDirectory, { recursive: true, force: true });
  }
}

function makeCacheDirectory(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'towpath-doctor-'));
  } catch (error) {
    throw new TowpathError('TOWPATH_DOCTOR_FOLDER', `a temporary directory cannot be created: ${errorMessage(error)}`, {
      hint: 'Set TMPDIR to a directory that this user may write to.',
      cause: error,
    });
  }
}

function ask(admission: SourceAdmission, key: Buffer, timeoutMs: number): Promise<AdmissionVerdict> {
  return withTimeout(Promise.resolve(admission.admit({ key, ip: ASKED_FROM })), timeoutMs, 'no answer');
}

function sourceFix(source: AdmissionSourceConfig): string {
  const open = 'failOpen' in source && source.failOpen ? ' Until then it admits every client (failOpen).' : '';
  switch (source.kind) {
    case 'keys':
      return 'Correct the file: each line has one nodekey:…, and may have a label after it.';
    case 'tailscale-api':
      return `Check that ${redactUrl(source.baseUrl)} can be reached, and check the API key or the OAuth client.${open}`;
    case 'headscale':
    case 'webhook':
      return `Check that ${redactUrl(source.url)} can be reached from this machine, and check its answer.${open}`;
    case 'tailscaled':
      return `Start tailscaled, and allow the relay's user to use ${source.socket}.${open}`;
  }
}
