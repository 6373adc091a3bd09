import { errorMessage, TowpathError } from '../../base/errors.ts';

/** The steps of a probe, in the order of the report. */
export type StepName =
  | 'dns'
  | 'tcp-ipv4'
  | 'tcp-ipv6'
  | 'tls'
  | 'upgrade'
  | 'websocket'
  | 'packets'
  | 'stun-ipv4'
  | 'stun-ipv6'
  | 'generate-204';

/** `warning`: it works, but needs attention. `skipped`: it could not be tried, or is not needed. */
export type StepStatus = 'ok' | 'warning' | 'failed' | 'skipped';

/** The result of one step. `N` is the type of its name: the probe and the doctor have different steps. */
export interface StepResult<N extends string = StepName> {
  readonly step: N;
  readonly status: StepStatus;
  /** How long it took, or what it measured; null when there is nothing to measure. */
  readonly ms: number | null;
  /** What was found, or what went wrong. */
  readonly text: string;
  /** One sentence: how to fix it. */
  readonly fix: string | null;
  /** The same for programs. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** The part of a result that the step itself returns. */
export interface Outcome {
  readonly text: string;
  readonly status?: StepStatus;
  readonly ms?: number;
  readonly fix?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Runs one step. What it throws becomes a failed result; `fixFor` may know a better fix than the error. */
export async function runStep<N extends string>(
  step: N,
  work: () => Promise<Outcome>,
  fixFor: (error: unknown) => string | null = () => null,
): Promise<StepResult<N>> {
  const startedAtMs = performance.now();
  try {
    const { status = 'ok', text, ms = performance.now() - startedAtMs, fix = null, details = {} } = await work();
    return { step, status, ms: status === 'skipped' ? null : ms, text, fix, details };
  } catch (error) {
    const coded = error instanceof TowpathError ? error : null;
    return {
      step,
      status: 'failed',
      ms: performance.now() - startedAtMs,
      text: errorMessage(error),
      fix: fixFor(error) ?? coded?.hint ?? null,
      details: coded === null ? {} : { code: coded.code },
    };
  }
}

/** A step that was not tried, and why. */
export function skipped<N extends string>(step: N, reason: string): StepResult<N> {
  return { step, status: 'skipped', ms: null, text: reason, fix: null, details: {} };
}
