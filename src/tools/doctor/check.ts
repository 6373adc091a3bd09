import type { StepName, StepResult, StepStatus } from '../probe/step.ts';

/** The checks of the doctor, besides the steps of a probe. */
export type DoctorCheckName =
  | 'version'
  | 'config'
  | 'open'
  | 'advertised'
  | 'key-file'
  | 'named-file'
  | 'certificate'
  | 'clock'
  | 'time-service'
  | 'file-limit'
  | 'kernel'
  | 'proxy-variables'
  | 'derp-port'
  | 'served-certificate'
  | 'served-key'
  | 'http-port'
  | 'stun-port'
  | 'admin-port'
  | 'ready'
  | 'proxy'
  | 'total-time'
  | 'names'
  | 'public-address'
  | 'derp-map'
  | 'mesh'
  | 'mesh-link'
  | 'mesh-clock'
  | 'mesh-version'
  | 'mesh-map'
  | 'peer-relay'
  | 'peer-relay-use'
  | 'admission-source'
  | 'admission-key';

/** What one check found. */
export type Check = StepResult<DoctorCheckName | StepName>;

/** Checks that belong together. */
export interface Section {
  readonly title: string;
  readonly checks: readonly Check[];
}

/** Optional parts of a check. */
interface CheckExtra {
  /** One sentence: how to fix it. */
  readonly fix?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A check whose duration does not matter. */
export function check(step: DoctorCheckName, status: StepStatus, text: string, extra: CheckExtra = {}): Check {
  return { step, status, ms: null, text, fix: extra.fix ?? null, details: extra.details ?? {} };
}

/** True when nothing failed. */
export function isSound(sections: readonly Section[]): boolean {
  return sections.every(({ checks }) => checks.every(({ status }) => status !== 'failed'));
}
