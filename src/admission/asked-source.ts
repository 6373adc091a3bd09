import { errorMessage } from '../errors.ts';
import { AnswerMemory } from './answer-memory.ts';
import { SourceFailure } from './failure.ts';
import { Gate } from './gate.ts';
import type { Answer, AskingSource, Question, Refusal, SourceParts, SourceState } from './source.ts';

/** Keys that may be known at one time; each takes some 200 bytes. */
const REMEMBERED_YES = 65_536;
const REMEMBERED_NO = 4096;
/** Connections that wait for a request to begin; at a usual answer time they wait less than the handshake may take. */
const WAITING = 1024;

/** What {@link AskedSource} needs. */
export interface AskedSourceOptions {
  readonly name: string;
  readonly kind: string;
  readonly refreshSeconds: number;
  readonly keepSeconds: number;
  readonly cacheSeconds: number;
  readonly maxConcurrent: number;
  readonly failOpen: boolean;
  /** Asks about one key. Fails with a {@link SourceFailure}. */
  readonly request: (question: Question) => Promise<boolean>;
  /** What an answer depends on: the key alone, or the address too. */
  readonly isByAddress: boolean;
  /** What a no means, in words. */
  readonly no: string;
}

/**
 * A source that is asked about each key. An answer serves further connections for `cacheSeconds`, and for
 * `keepSeconds` while the source does not answer. Connections with one key share one request.
 */
export class AskedSource implements AskingSource {
  readonly style = 'asking';
  readonly name: string;
  readonly kind: string;
  readonly refreshMs: number;
  readonly #options: AskedSourceOptions;
  readonly #parts: SourceParts;
  readonly #memory = new AnswerMemory(REMEMBERED_YES, REMEMBERED_NO);
  readonly #gate: Gate;
  readonly #underWay = new Map<string, Promise<Answer>>();
  #failure: SourceFailure | null = null;
  #answeredAt: number | null = null;

  constructor(options: AskedSourceOptions, parts: SourceParts) {
    this.name = options.name;
    this.kind = options.kind;
    this.refreshMs = options.refreshSeconds * 1000;
    this.#options = options;
    this.#parts = parts;
    this.#gate = new Gate(options.maxConcurrent, WAITING);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): void {
    // Nothing runs between two questions.
  }

  remembered(question: Question): Answer | null {
    return this.#answerWithin(this.#idOf(question), Math.max(this.#options.keepSeconds * 1000, this.refreshMs));
  }

  ask(question: Question, isFresh: boolean): Promise<Answer> {
    const id = this.#idOf(question);
    const cached = isFresh ? null : this.#answerWithin(id, this.#options.cacheSeconds * 1000);
    if (cached !== null) return Promise.resolve(cached);
    const underWay = this.#underWay.get(id);
    if (underWay !== undefined) return underWay;
    const answer = this.#request(id, question).finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, answer);
    return answer;
  }

  state(): SourceState {
    const { clock } = this.#parts;
    const ageSeconds = this.#answeredAt === null ? null : (clock.now - this.#answeredAt) / 1000;
    const isKept = ageSeconds !== null && ageSeconds < this.#options.keepSeconds;
    return {
      problem: this.#failure?.message ?? null,
      isUsable: this.#failure === null || isKept || this.#options.failOpen,
      keys: null,
      ageSeconds,
    };
  }

  #idOf({ key, ip }: Question): string {
    return this.#options.isByAddress ? `${key} ${ip}` : key;
  }

  #answerWithin(id: string, ageMs: number): Answer | null {
    const found = this.#memory.get(id);
    if (found === null || this.#parts.clock.now - found.at >= ageMs) return null;
    return found.isYes ? 'yes' : this.#no();
  }

  async #request(id: string, question: Question): Promise<Answer> {
    if (!(await this.#gate.enter())) {
      return { reason: 'busy', detail: 'too many connections wait for its answer', failsOpen: false };
    }
    try {
      const isYes = await this.#options.request(question);
      this.#memory.set(id, isYes, this.#parts.clock.now);
      this.#answered();
      return isYes ? 'yes' : this.#no();
    } catch (error) {
      const failure = error instanceof SourceFailure ? error : new SourceFailure('local', errorMessage(error));
      this.#failed(failure);
      return this.#answerWithin(id, this.#options.keepSeconds * 1000) ?? this.#unavailable(failure);
    } finally {
      this.#gate.leave();
    }
  }

  #no(): Refusal {
    return { reason: 'unknown_key', detail: this.#options.no, failsOpen: false };
  }

  #unavailable(failure: SourceFailure): Refusal {
    const failsOpen = this.#options.failOpen && failure.kind === 'transport';
    return { reason: 'unavailable', detail: failure.message, failsOpen };
  }

  #answered(): void {
    this.#answeredAt = this.#parts.clock.now;
    if (this.#failure === null) return;
    this.#failure = null;
    this.#parts.log.info({ source: this.name }, 'admission source answers again');
  }

  #failed(failure: SourceFailure): void {
    if (this.#failure?.message !== failure.message) {
      this.#parts.log.warn({ source: this.name, error: failure.message }, 'admission source does not answer');
    }
    this.#failure = failure;
  }
}
