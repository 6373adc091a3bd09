import { errorMessage } from '../base/errors.ts';
import type { EventLog } from '../base/event-log.ts';

/** One step of the shutdown waits no longer than this. */
const STEP_MS = 1000;

/**
 * Does one step of the shutdown and waits for it at most `limitMs`. Never rejects: a step that fails must not prevent
 * the next ones, and the end of the process closes the rest.
 */
export async function shutdownStep(
  what: string,
  step: () => unknown,
  log: EventLog<'warn'>,
  limitMs: number = STEP_MS,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      log.warn({ step: what, ms: limitMs }, 'shutdown: this step takes too long and is skipped');
      resolve();
    }, limitMs);
  });
  try {
    await Promise.race([step(), late]);
  } catch (error) {
    log.warn({ step: what, error: errorMessage(error) }, 'shutdown: this step failed');
  } finally {
    clearTimeout(timer);
  }
}
