import { errorMessage } from '../base/errors.ts';
import { AnswerMemory } from './answer-memory.ts';
import { SourceFailure } from './failure.ts';
import { Outage } from './outage.ts';
import { isSameFacts, type NodeFacts } from './node-facts.ts';
import type { Answer, AskingSource, Question, Refusal, Reply, SourceParts, SourceState } from './source.ts';
import { WaitingPlaces } from './waiting-places.ts';

/** Largest number of stored keys; each needs about 200 bytes. */
const REMEMBERED_YES = 65_536;
const REMEMBERED_NO = 4096;
/** Largest number of connections that wait for their request to start. */
const WAITING = 1024;
/** A client that was admitted before waits no longer than this for the new answer. */
const KNOWN_WAIT_MS = 300;

/** Options of {@link AskedSource}. */
export interface AskedSourceOptions {
  readonly name: string;
  readonly kind: string;
  readonly refreshSeconds: number;
  readonly keepSeconds: number;
  readonly cacheSeconds: number;
  readonly maxConcurrent: number;
  readonly failOpen: boolean;
  /** Sends the request about one key. Rejects with a {@link SourceFailure}. */
  readonly request: (question: Question) => Promise<Reply>;
  /** Whether an answer depends only on the key, or also on the address. */
  readonly isByAddress: boolean;
  /** Text for the log when the source does not admit a key. */
  readonly no: string;
}

/** A request that waits or runs, and the connections that wait for its answer. */
interface Inquiry {
  readonly answer: Promise<Answer>;
  readonly questions: Question[];
}

/**
 * A source that is asked about each key. An answer is used for other connections for `cacheSeconds`. A yes is also valid for
 * `keepSeconds` while the source does not answer, is busy or is slow; if the source then says no, the
 * connection ends. Connections with one key share one request.
 */
export class AskedSource implements AskingSource {
  readonly style = 'asking';
  readonly name: string;
  readonly kind: string;
  readonly refreshMs: number;
  readonly #options: AskedSourceOptions;
  readonly #parts: SourceParts;
  readonly #memory = new AnswerMemory(REMEMBERED_YES, REMEMBERED_NO);
  /** Facts of the service about the keys that it admitted last. */
  readonly #facts = new Map<string, NodeFacts>();
  readonly #places: WaitingPlaces;
  readonly #inquiries = new Map<string, Inquiry>();
  readonly #listeners = new Set<() => void>();
  readonly #outage: Outage;
  #answeredAt: number | null = null;

  constructor(options: AskedSourceOptions, parts: SourceParts) {
    this.name = options.name;
    this.kind = options.kind;
    this.refreshMs = options.refreshSeconds * 1000;
    this.#options = options;
    this.#parts = parts;
    this.#places = new WaitingPlaces(options.maxConcurrent, WAITING);
    this.#outage = new Outage(options.name, parts.clock, parts.log);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): void {
    // Nothing to stop: the source has no timer.
  }

  reload(): void {
    // Secrets are read for each request.
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  facts(key: string): NodeFacts | null {
    return this.#facts.get(key) ?? null;
  }

  remembered(question: Question): Answer | null {
    return this.#answerWithin(question, Math.max(this.#keepMs, this.refreshMs));
  }

  ask(question: Question, isFresh: boolean): Promise<Answer> {
    const cached = isFresh ? null : this.#answerWithin(question, this.#options.cacheSeconds * 1000);
    if (cached !== null) return Promise.resolve(cached);
    const { answer } = this.#inquire(question);
    const wasAdmitted = !isFresh && this.#answerWithin(question, this.#keepMs) === 'yes';
    return wasAdmitted ? this.#orSoonYes(answer) : answer;
  }

  state(): SourceState {
    const { clock } = this.#parts;
    const { failure } = this.#outage;
    const ageSeconds = this.#answeredAt === null ? null : (clock.now - this.#answeredAt) / 1000;
    const isKept = ageSeconds !== null && ageSeconds < this.#options.keepSeconds;
    return {
      problem: failure?.message ?? null,
      isUsable: failure === null || isKept || this.#options.failOpen,
      keys: null,
      ageSeconds,
    };
  }

  get #keepMs(): number {
    return this.#options.keepSeconds * 1000;
  }

  #placeOf({ ip }: Question): string {
    return this.#options.isByAddress ? ip : '';
  }

  #answerWithin(question: Question, ageMs: number): Answer | null {
    const found = this.#memory.get(question.key, this.#placeOf(question));
    if (found === null || this.#parts.clock.now - found.at >= ageMs) return null;
    return found.isYes ? 'yes' : this.#no();
  }

  #inquire(question: Question): Inquiry {
    const id = `${question.key} ${this.#placeOf(question)}`;
    const underWay = this.#inquiries.get(id);
    if (underWay !== undefined) {
      underWay.questions.push(question);
      return underWay;
    }
    const questions = [question];
    const answer = this.#request(question, questions).finally(() => this.#inquiries.delete(id));
    const inquiry = { answer, questions };
    this.#inquiries.set(id, inquiry);
    return inquiry;
  }

  /**
   * Returns the answer, or yes when it takes too long. If the answer is a no later, the connections admitted meanwhile
   * are reviewed.
   */
  #orSoonYes(answer: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        resolve('yes');
      }, KNOWN_WAIT_MS);
      answer.then((given) => {
        clearTimeout(timer);
        if (!isLate) resolve(given === 'yes' || given.reason !== 'busy' ? given : 'yes');
        else if (given !== 'yes' && given.reason === 'unknown_key') for (const listener of this.#listeners) listener();
      }, reject);
    });
  }

  async #request(question: Question, questions: readonly Question[]): Promise<Answer> {
    const admittedAt = this.#memory.admittedAt(question.key);
    const keptMs = Math.max(this.#keepMs, this.refreshMs);
    const admittance = await this.#places.enter({
      ip: question.ip,
      isKnown: admittedAt !== null && this.#parts.clock.now - admittedAt < keptMs,
      isOver: () => questions.every(({ isOver }) => isOver?.() === true),
    });
    if (admittance !== 'go') return BUSY[admittance];
    try {
      const reply = await this.#options.request(question);
      const isYes = reply !== false;
      const now = this.#parts.clock.now;
      this.#memory.set(question.key, this.#placeOf(question), isYes, now);
      this.#learn(question.key, reply);
      this.#answeredAt = now;
      this.#outage.answered();
      return isYes ? 'yes' : this.#no();
    } catch (error) {
      const failure = error instanceof SourceFailure ? error : new SourceFailure('local', errorMessage(error));
      this.#outage.failed(failure);
      return this.#answerWithin(question, this.#keepMs) ?? this.#unavailable(failure);
    } finally {
      this.#places.leave();
    }
  }

  #learn(key: string, reply: Reply): void {
    const before = this.#facts.get(key);
    this.#facts.delete(key);
    if (typeof reply === 'boolean') return;
    this.#facts.set(key, reply);
    if (this.#facts.size > REMEMBERED_YES) this.#facts.delete(this.#facts.keys().next().value!);
    // An open connection may have another tier now.
    if (before !== undefined && !isSameFacts(before, reply)) for (const listener of this.#listeners) listener();
  }

  #no(): Refusal {
    return { reason: 'unknown_key', detail: this.#options.no, failsOpen: false };
  }

  #unavailable(failure: SourceFailure): Refusal {
    const failsOpen = this.#options.failOpen && failure.kind === 'transport';
    return { reason: 'unavailable', detail: failure.message, failsOpen };
  }
}

const BUSY: Readonly<Record<'full' | 'over', Refusal>> = {
  full: { reason: 'busy', detail: 'too many connections wait for the answer of the source', failsOpen: false },
  over: { reason: 'busy', detail: 'the connection ended before the source was asked', failsOpen: false },
};
