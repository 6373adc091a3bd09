import { errorMessage } from '../base/errors.ts';
import { announced, isFor, loadOrCreate, prepareNext, whatIsDue, type Held, type RenewalPolicy } from './renewal.ts';
import type { CertificateInfo } from './source.ts';
import { CertificateStore } from './store.ts';
import type { EventLog } from '../base/event-log.ts';

interface InspectOptions extends RenewalPolicy {
  readonly directory: string;
  readonly log: EventLog;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** Reads the certificate for commands. Creates a missing certificate, but never replaces one. */
export function inspectSelfSigned(options: InspectOptions): CertificateInfo {
  const store = new CertificateStore(options.directory, options.names[0]!);
  const now = options.now();
  const held = loadOrCreate(store, options, now, options.log);
  if (isFor(held.current, options.names)) {
    const prepared = prepareForLook(store, held, options, now);
    return { ...prepared.current.info, next: announced(prepared, options, now) };
  }
  options.log.warn(
    { certPath: store.certPath, has: held.current.info.names, wanted: options.names },
    'the stored certificate is for other names; the relay makes a new one, with a new pin, at its next start',
  );
  return held.current.info;
}

/** Prepares the next certificate if possible. If it cannot be written, the certificate in use is shown alone. */
function prepareForLook(store: CertificateStore, held: Held, options: InspectOptions, now: number): Held {
  const time = { now, steadyFrom: now, steadyMs: 0 };
  if (whatIsDue(held, options, time, () => []).kind !== 'announce') return held;
  try {
    return prepareNext(store, held, options, now);
  } catch (error) {
    options.log.warn(
      { error: errorMessage(error) },
      'the next certificate cannot be made here; the running relay tries too',
    );
    return held;
  }
}
