import { errorMessage } from '../base/errors.ts';

/** Shortest time until the same message is logged again, in milliseconds. */
const AGAIN_MS = 3_600_000;
/** Most messages that are logged in that time. */
const MOST = 20;
/** Most characters of a message. */
const CHARACTERS = 300;

/** Passes on the health messages of a control server, which repeats them and may send any number. */
export class HealthMessages {
  readonly #log: (message: string) => void;
  /** When each message was logged, in milliseconds of the caller's clock. */
  readonly #loggedAt = new Map<string, number>();

  /** `log` receives each message as one line. */
  constructor(log: (message: string) => void) {
    this.#log = log;
  }

  /** Takes the messages of one frame; `now` in milliseconds. */
  tell(messages: readonly string[], now: number): void {
    for (const [message, at] of this.#loggedAt) if (now - at >= AGAIN_MS) this.#loggedAt.delete(message);
    for (const message of messages) {
      if (this.#loggedAt.size >= MOST) return;
      const line = errorMessage(message.slice(0, CHARACTERS));
      if (this.#loggedAt.has(line)) continue;
      this.#loggedAt.set(line, now);
      this.#log(line);
    }
  }
}
