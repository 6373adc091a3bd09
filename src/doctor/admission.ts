import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AdmissionVerdict } from '../admission/admission.ts';
import { openSourceAdmission } from '../admission/open.ts';
import type { SourceAdmission } from '../admission/source-admission.ts';
import type { AdmissionSourceConfig } from '../config/schema/admission-sources.ts';
import { withTimeout } from '../client/probe/network.ts';
import { errorMessage, TowpathError } from '../errors.ts';
import { formatNodeKey, generateNodeKeyPair, shortKey } from '../wire/keys.ts';
import { check, type Check } from './check.ts';
import type { Patient } from './patient.ts';

/** What the question says of where the node is; sources that look at it see the doctor's machine. */
const ASKED_FROM = '127.0.0.1';
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Asks every admission source, and what all together say of the key that was given. */
export async function admissionChecks(patient: Patient): Promise<Check[]> {
  const { admission } = patient.config;
  const checks = await Promise.all(admission.sources.map((source) => sourceCheck(patient, source)));
  if (patient.nodeKey === null) return checks;
  return [...checks, await keyCheck(patient, patient.nodeKey)];
}

async function sourceCheck(patient: Patient, source: AdmissionSourceConfig): Promise<Check> {
  const named = `${source.name} (${source.kind})`;
  try {
    return await withSources(patient, [source], async (admission) => {
      const key = patient.nodeKey ?? generateNodeKeyPair().publicKey;
      // Only an answer shows that a source works which is asked about each key.
      const verdict = await ask(admission, key, patient.timeoutMs);
      const state = admission.report().sources[0]!;
      if (state.problem !== null) {
        return check('admission-source', 'failed', `${named}: ${state.problem}`, { fix: sourceFix(source) });
      }
      const keys = state.keys === null ? 'answers' : `${state.keys} keys`;
      const said =
        patient.nodeKey === null ? '' : `; ${shortKey(key)} ${verdict.admitted ? 'may come in' : 'is not known'}`;
      return check('admission-source', 'ok', `${named}: ${keys}${said}`, { details: { ...state, ...verdict } });
    });
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    const fix = error.hint ?? sourceFix(source);
    return check('admission-source', 'failed', `${named}: ${error.message}`, { fix });
  }
}

async function keyCheck(patient: Patient, key: Buffer): Promise<Check> {
  const name = formatNodeKey(key);
  try {
    const verdict = await withSources(patient, patient.config.admission.sources, (admission) =>
      ask(admission, key, patient.timeoutMs),
    );
    if (verdict.admitted) return check('admission-key', 'ok', `${name} may come in`);
    return check('admission-key', 'failed', `${name} is refused by ${verdict.source}: ${verdict.reason}`, {
      fix: 'Add the node to one of the sources (docs/admission.md), or take it off the deny list.',
    });
  } catch (error) {
    return check('admission-key', 'failed', `${name}: ${errorMessage(error)}`, {
      fix: 'Mend the sources above first.',
    });
  }
}

/** Opens sources of the doctor's own: with an empty cache, so that only what they say today counts. */
async function withSources<T>(
  { config, clock, timeoutMs }: Patient,
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
    throw new TowpathError(
      'TOWPATH_DOCTOR_FOLDER',
      `no folder can be made for the time of the check: ${errorMessage(error)}`,
      {
        hint: 'Set TMPDIR to a folder that this user may write to.',
        cause: error,
      },
    );
  }
}

function ask(admission: SourceAdmission, key: Buffer, timeoutMs: number): Promise<AdmissionVerdict> {
  return withTimeout(Promise.resolve(admission.admit({ key, ip: ASKED_FROM })), timeoutMs, 'no answer');
}

function sourceFix(source: AdmissionSourceConfig): string {
  const open = 'failOpen' in source && source.failOpen ? ' Until then it admits everyone it cannot ask about.' : '';
  switch (source.kind) {
    case 'keys':
      return 'Correct the file; each line is a nodekey:… and may have a label.';
    case 'tailscale-api':
      return `Check that ${source.baseUrl} can be reached, and the key or OAuth client.${open}`;
    case 'headscale':
    case 'webhook':
      return `Check that ${source.url} can be reached from this machine, and what it answers.${open}`;
    case 'tailscaled':
      return `Start tailscaled, and let the relay's user use ${source.socket}.${open}`;
  }
}
