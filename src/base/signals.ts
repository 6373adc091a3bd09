/** What the relay does on a signal. */
export type SignalWish = 'end' | 'reload' | 'replace' | 'nothing';

/** Called for each signal. */
export type SignalListener = (wish: SignalWish, signal: NodeJS.Signals) => void;

/**
 * SIGUSR1 is listened to because Node would open its debugger and Bun would end; it is the first, so that no other signal is
 * handled before it. SIGUSR2 starts the next process, as it does in other servers with inherited sockets (nginx, HAProxy).
 * SIGHUP is the last: a program that sees it handled may send any of them.
 */
const WISHES: Readonly<Partial<Record<NodeJS.Signals, SignalWish>>> = {
  SIGUSR1: 'nothing',
  SIGUSR2: 'replace',
  SIGTERM: 'end',
  SIGINT: 'end',
  SIGQUIT: 'end',
  SIGHUP: 'reload',
};

/**
 * Handles the signals of a serving process. It is made before anything else is loaded, because the default of a signal
 * would end the process. Until there is a listener, a signal to end ends the process with 0, because there are no
 * clients yet, and a signal to reload waits.
 */
export class ServeSignals {
  #listener: SignalListener | null = null;
  #waiting: NodeJS.Signals | null = null;

  constructor() {
    for (const [signal, wish] of Object.entries(WISHES)) {
      process.on(signal, () => this.#received(wish, signal as NodeJS.Signals));
    }
  }

  /** Calls `listener` for each signal from now on; at once when a signal to reload waits. */
  listen(listener: SignalListener): void {
    this.#listener = listener;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) listener('reload', waiting);
  }

  #received(wish: SignalWish, signal: NodeJS.Signals): void {
    if (this.#listener !== null) this.#listener(wish, signal);
    else if (wish === 'end') process.exit(0);
    else if (wish === 'reload') this.#waiting = signal;
  }
}

let signals: ServeSignals | undefined;

/** Returns the signals of this serving process. The first call takes them over from the runtime. */
export function serveSignals(): ServeSignals {
  return (signals ??= new ServeSignals());
}
