import { SLOW_TICK_MS } from '../base/clock.ts';
import type { MetricDefinition } from '../observe/metrics.ts';
import { ADMITTED, type Admission, type AdmissionRequest, type AdmissionVerdict } from '../relay/session/admission.ts';
import { AdmissionCounts } from './admission-counts.ts';
import { KeyDenials, type KeyDenial } from './key-denials.ts';
import { judge, OPEN, judgeAgain, judgeByDenyLists, type Judgement, type Sources } from './judge.ts';
import type { NodeFacts } from './node-facts.ts';
import { RefusalJournal, type RefusalEntry } from './refusal-journal.ts';
import {
  questionOf,
  type AskingSource,
  type Question,
  type Source,
  type SourceParts,
  type SourceState,
} from './source.ts';

/** The sources to ask again in a review; empty when only lists have changed. */
export type DueSources = ReadonlySet<AskingSource>;

/** The state of the sources and the last refusals, for the admin listener. */
export interface AdmissionReport {
  readonly open: boolean;
  readonly sources: readonly ({ readonly name: string; readonly kind: string } & SourceState)[];
  /** Newest first. */
  readonly refusals: readonly RefusalEntry[];
}

const NOTHING_DUE: DueSources = new Set();
/** Used as the source's name when an operator has decided. */
const OPERATOR = 'operator';

/** State that stays when a reload replaces the sources. */
export interface SharedState {
  readonly counts: AdmissionCounts;
  readonly denials: KeyDenials;
}

/** Admission by the configured sources. When an answer may have changed, it asks for a review of the open connections. */
export class SourceAdmission implements Admission {
  readonly #sources: Sources;
  readonly #all: readonly Source[];
  readonly #parts: SourceParts;
  readonly shared: SharedState;
  readonly #journal: RefusalJournal;
  readonly #exempt = new Set<string>();
  readonly #listeners = new Set<(due: DueSources) => void>();
  readonly #nextReview = new Map<AskingSource, number>();
  #leaveClock: () => void = () => undefined;

  constructor(
    sources: readonly Source[],
    open: boolean,
    parts: SourceParts,
    shared: SharedState = { counts: new AdmissionCounts(), denials: new KeyDenials(parts.now) },
  ) {
    this.shared = shared;
    this.#all = sources;
    this.#parts = parts;
    this.#journal = new RefusalJournal(parts.clock, parts.log, parts.now);
    const lists = sources.filter((source) => source.style === 'list');
    const asked = sources.filter((source) => source.style === 'asking');
    this.#sources = { lists, asked, open };
    for (const source of sources) source.onChange(() => this.#announce(NOTHING_DUE));
  }

  /** Starts all sources; resolves when each has tried to get its keys once. */
  async start(): Promise<void> {
    for (const source of this.#sources.asked) this.#nextReview.set(source, this.#parts.clock.now + source.refreshMs);
    this.#leaveClock = this.#parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
    await Promise.all(this.#all.map((source) => source.start()));
  }

  /** Stops all sources. */
  stop(): void {
    this.#leaveClock();
    this.#listeners.clear();
    for (const source of this.#all) source.stop();
  }

  /** Reads all files and lists again, now. */
  reload(): void {
    for (const source of this.#all) source.reload();
  }

  admit(request: AdmissionRequest): AdmissionVerdict | Promise<AdmissionVerdict> {
    const question = questionOf(request);
    if (this.#exempt.has(question.key)) return ADMITTED;
    const judgement = this.#judgeByDenials(question) ?? judge(this.#sources, question);
    return judgement instanceof Promise
      ? // A denial may have come while a source was asked, and the review that followed did not see this connection.
        judgement.then((later) => this.#settle(question, this.#judgeByAllDenials(question) ?? later))
      : this.#settle(question, judgement);
  }

  /** Decides about an open connection again. Counts and logs a refusal; the caller closes the connection. */
  review(request: AdmissionRequest, due: DueSources): AdmissionVerdict | Promise<AdmissionVerdict> {
    const question = questionOf(request);
    if (this.#exempt.has(question.key)) return ADMITTED;
    const judgement = this.#judgeByDenials(question) ?? judgeAgain(this.#sources, question, due);
    return judgement instanceof Promise
      ? judgement.then((later) => this.#settleReview(question, later))
      : this.#settleReview(question, judgement);
  }

  /**
   * Denies a key for a time, also against the sources, and asks for a review of open connections. Returns false when
   * there are too many denials.
   */
  deny(denial: KeyDenial): boolean {
    if (!this.shared.denials.add(denial)) return false;
    this.#announce(NOTHING_DUE);
    return true;
  }

  /** Removes the denial of a key (64 hex digits); returns whether there was one. */
  allow(key: string): boolean {
    return this.shared.denials.remove(key);
  }

  /** Returns whether an operator or a deny list denies a key (64 hex digits). */
  isDenied(key: string): boolean {
    return this.shared.denials.find(key) !== null || this.#sources.lists.some((list) => list.denies(key));
  }

  /** The keys that are denied now. */
  get denials(): readonly KeyDenial[] {
    return this.shared.denials.list();
  }

  /** Returns the named source's facts about a key (64 hex digits); null when it does not know the key. */
  facts(source: string, key: string): NodeFacts | null {
    return this.#all.find(({ name }) => name === source)?.facts(key) ?? null;
  }

  /** Returns the name of the first source that knows a key (64 hex digits); null when none does. */
  sourceOf(key: string): string | null {
    if (this.#sources.open) return OPEN;
    return this.#all.find((source) => source.facts(key) !== null)?.name ?? null;
  }

  /** The sources with a request per key. */
  get asked(): DueSources {
    return new Set(this.#sources.asked);
  }

  /** Calls `listener` when open connections must be reviewed; returns a function that unsubscribes. */
  onReview(listener: (due: DueSources) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Admits `key` without the sources, for the relay's own self-test; returns a function that ends this. */
  exempt(key: Buffer): () => void {
    const hex = key.toString('hex');
    this.#exempt.add(hex);
    return () => this.#exempt.delete(hex);
  }

  /** Why every client is refused; null while at least one source can decide. */
  problem(): string | null {
    if (this.#sources.open) return null;
    const problems: string[] = [];
    for (const source of this.#all) {
      const { isUsable, problem } = source.state();
      if (isUsable) return null;
      problems.push(`${source.name}: ${problem ?? 'unusable'}`);
    }
    return `every admission source has failed: ${problems.join('; ')}`;
  }

  metrics(): MetricDefinition[] {
    return this.shared.counts.metrics(this.#all);
  }

  report(): AdmissionReport {
    return {
      open: this.#sources.open,
      sources: this.#all.map((source) => ({ name: source.name, kind: source.kind, ...source.state() })),
      refusals: this.#journal.entries,
    };
  }

  #judgeByDenials({ key }: Question): Judgement | null {
    const denial = this.shared.denials.find(key);
    if (denial === null) return null;
    const until = new Date(denial.until).toISOString();
    const why = denial.reason === '' ? '' : ` (${denial.reason})`;
    return { admitted: false, source: OPERATOR, reason: 'denied', detail: `denied until ${until}${why}` };
  }

  #judgeByAllDenials(question: Question): Judgement | null {
    return this.#judgeByDenials(question) ?? judgeByDenyLists(this.#sources.lists, question);
  }

  #settle(question: Question, judgement: Judgement): AdmissionVerdict {
    if (judgement.admitted) {
      this.shared.counts.admitted(judgement.source, judgement.isFailOpen);
      return { admitted: true, source: judgement.source };
    }
    const { source, reason, detail } = judgement;
    this.shared.counts.refused(source, reason);
    if (question.isOver?.() !== true) this.#journal.add(question, source, reason, detail, false);
    return { admitted: false, source, reason: `${reason}: ${detail}` };
  }

  #settleReview(question: Question, judgement: Judgement): AdmissionVerdict {
    // A busy source is not a decision about this key.
    if (judgement.admitted) return { admitted: true, source: judgement.source };
    if (judgement.reason === 'busy') return ADMITTED;
    const { source, reason, detail } = judgement;
    this.shared.counts.ended(source, reason);
    this.#journal.add(question, source, reason, detail, true);
    return { admitted: false, source, reason: `${reason}: ${detail}` };
  }

  #tick(now: number): void {
    const due = new Set<AskingSource>();
    for (const [source, at] of this.#nextReview) {
      if (now < at) continue;
      this.#nextReview.set(source, now + source.refreshMs);
      due.add(source);
    }
    if (due.size > 0) this.#announce(due);
  }

  #announce(due: DueSources): void {
    for (const listener of this.#listeners) listener(due);
  }
}
