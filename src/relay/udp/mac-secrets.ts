import { createHmac, timingSafeEqual } from 'node:crypto';
import { ipBytesOf, portOf } from './side-address.ts';

/**
 * Time between two changes of the secret. It is longer than the slowest answer to a challenge takes; upstream has the
 * same.
 */
const ROTATION_MS = 120_000;
const SECRET_BYTES = 32;

/** The facts that a challenge is bound to: it is valid only for this handshake from this address. */
export interface ChallengeInput {
  readonly vni: number;
  readonly generation: number;
  readonly remoteKey: Uint8Array;
  /** The source is at `words[source]`. */
  readonly words: Int32Array;
  readonly source: number;
}

/** Secrets with the ages that they had when they were exported. */
export interface ExportedSecrets {
  /** Newest first, at most two. */
  readonly secrets: readonly Uint8Array[];
  /** Milliseconds since the newest was made. */
  readonly ageMs: number;
}

/**
 * Makes and checks challenges without state per sender (peer relay reference §5.4): HMAC-SHA-256 over the handshake and
 * its source, under a secret that lives for two rotations.
 */
export class MacSecrets {
  readonly #randomBytes: (length: number) => Buffer;
  #current: Buffer;
  #previous: Buffer | null = null;
  #madeAt: number;

  constructor(randomBytes: (length: number) => Buffer, now: number) {
    this.#randomBytes = randomBytes;
    this.#current = randomBytes(SECRET_BYTES);
    this.#madeAt = now;
  }

  /** Changes the secret when it is time. */
  rotate(now: number): void {
    if (now - this.#madeAt < ROTATION_MS) return;
    this.#previous = now - this.#madeAt < 2 * ROTATION_MS ? this.#current : null;
    this.#current = this.#randomBytes(SECRET_BYTES);
    this.#madeAt = now;
  }

  /** Returns the 32 bytes of the challenge. */
  challenge(input: ChallengeInput): Buffer {
    return mac(this.#current, input);
  }

  /** Returns whether `challenge`, 32 bytes, was made for this input under one of the two secrets. */
  isValid(challenge: Uint8Array, input: ChallengeInput): boolean {
    if (timingSafeEqual(mac(this.#current, input), challenge)) return true;
    return this.#previous !== null && timingSafeEqual(mac(this.#previous, input), challenge);
  }

  /** Returns the secrets for the next process. */
  export(now: number): ExportedSecrets {
    const secrets = this.#previous === null ? [this.#current] : [this.#current, this.#previous];
    return { secrets: secrets.map((secret) => new Uint8Array(secret)), ageMs: now - this.#madeAt };
  }

  /** Takes over the secrets of an earlier process. None of them: the own ones stay. */
  import({ secrets, ageMs }: ExportedSecrets, now: number): void {
    const [current, previous] = secrets;
    if (current === undefined) return;
    this.#current = Buffer.from(current);
    this.#previous = previous === undefined ? null : Buffer.from(previous);
    this.#madeAt = now - ageMs;
  }
}

function mac(secret: Buffer, { vni, generation, remoteKey, words, source }: ChallengeInput): Buffer {
  const numbers = Buffer.alloc(10);
  numbers.writeUInt32BE(vni, 0);
  numbers.writeUInt32BE(generation, 4);
  numbers.writeUInt16BE(portOf(words, source), 8);
  return createHmac('sha256', secret).update(numbers).update(remoteKey).update(ipBytesOf(words, source)).digest();
}
