import { errorMessage } from '../base/errors.ts';

/** A message that was told is not told again for this time, in milliseconds. */
const AGAIN_MS = 3_600_000;
/** Most messages that are told in that time. */
const MOST = 20;
/** Most characters of a message. */
const CHARACTERS = 300;

/** Passes on the health messages of a control server, which repeats them and may send any number. */
export class HealthMessages {
  readonly #tell: (message: string) => void;
  /** When each message was told, in milliseconds of the caller's clock. */
  readonly #toldAt = new Map<string, number>();

  /** `tell` gets each message as one line. */
  constructor(tell: (message: string) => void) {
    this.#tell = tell;
  }

  /** Takes the messages of one frame; `now` in milliseconds. */
  tell(messages: readonly string[], now: number): void {
    for (const [message, at] of this.#toldAt) if (now - at >= AGAIN_MS) this.#toldAt.delete(message);
    for (const message of messages) {
      if (this.#toldAt.size >= MOST) return;
      const line = errorMessage(message.slice(0, CHARACTERS));
      if (this.#toldAt.has(line)) continue;
      this.#toldAt.set(line, now);
      this.#tell(line);
    }
  }
}
