import type { Answer, AskingSource, ListSource, Question, Refusal, RefusalReason } from './source.ts';

/** The decision of all sources together. */
export type Judgement =
  | { readonly admitted: true; readonly source: string; readonly isFailOpen: boolean }
  | { readonly admitted: false; readonly source: string; readonly reason: RefusalReason; readonly detail: string };

/** All sources, by their kind. */
export interface Sources {
  readonly lists: readonly ListSource[];
  readonly asked: readonly AskingSource[];
  /** Admit every key that is not on a deny list. */
  readonly open: boolean;
}

/** Used as the source's name when every client is admitted. */
export const OPEN = 'open';
/** Name used for several sources that all refuse. */
const ALL = 'all';

/** A source and its refusal. */
interface Objection {
  readonly source: string;
  readonly refusal: Refusal;
}

/** Decides about a new connection: deny lists first, then the first source that admits. Returns at once unless a source must be asked. */
export function judge(sources: Sources, question: Question): Judgement | Promise<Judgement> {
  const [verdict, objections] = judgeByLists(sources, question);
  if (verdict !== null) return verdict;
  if (sources.asked.length === 0) return conclude(objections);
  return askAll(sources.asked, question, false, objections);
}

/**
 * Decides about an open connection. Of the sources with a request per key, only those in `due` are asked again; for the
 * others the last answer is used, if there is one.
 */
export function judgeAgain(
  sources: Sources,
  question: Question,
  due: ReadonlySet<AskingSource>,
): Judgement | Promise<Judgement> {
  const [verdict, objections] = judgeByLists(sources, question);
  if (verdict !== null) return verdict;
  const unsure: AskingSource[] = [];
  for (const source of sources.asked) {
    const answer = due.has(source) ? null : source.remembered(question);
    if (answer === 'yes') return admitted(source.name);
    if (answer === null) unsure.push(source);
    else objections.push({ source: source.name, refusal: answer });
  }
  return unsure.length === 0 ? conclude(objections) : askAll(unsure, question, true, objections);
}

/** The refusal of a deny list, or null. */
export function judgeByDenyLists(lists: readonly ListSource[], question: Question): Judgement | null {
  const denier = lists.find((list) => list.denies(question.key));
  if (denier === undefined) return null;
  return { admitted: false, source: denier.name, reason: 'denied', detail: 'the key is in the deny file' };
}

function judgeByLists({ lists, open }: Sources, question: Question): [Judgement | null, Objection[]] {
  const objections: Objection[] = [];
  const denied = judgeByDenyLists(lists, question);
  if (denied !== null) return [denied, objections];
  if (open) return [admitted(OPEN), objections];
  for (const list of lists) {
    const answer = list.look(question.key);
    if (answer === 'yes') return [admitted(list.name), objections];
    objections.push({ source: list.name, refusal: answer });
  }
  return [null, objections];
}

/** Asks all sources. The first yes admits at once; a no refuses when all sources have answered. */
function askAll(
  sources: readonly AskingSource[],
  question: Question,
  isFresh: boolean,
  objections: Objection[],
): Promise<Judgement> {
  return new Promise((resolve, reject) => {
    let waiting = sources.length;
    const hear = (source: AskingSource, answer: Answer): void => {
      waiting--;
      if (answer === 'yes') resolve(admitted(source.name));
      else objections.push({ source: source.name, refusal: answer });
      if (waiting === 0) resolve(conclude(objections));
    };
    for (const source of sources) source.ask(question, isFresh).then((answer) => hear(source, answer), reject);
  });
}

/** No source admits the key. A source that could not answer is the most useful reason for the operator. */
function conclude(objections: readonly Objection[]): Judgement {
  const forgiven = objections.find(({ refusal }) => refusal.failsOpen);
  if (forgiven !== undefined) return { admitted: true, source: forgiven.source, isFailOpen: true };
  const [only] = objections;
  const chosen =
    objections.find(({ refusal }) => refusal.reason !== 'unknown_key') ?? (objections.length === 1 ? only : undefined);
  if (chosen !== undefined) {
    const { reason, detail } = chosen.refusal;
    return { admitted: false, source: chosen.source, reason, detail };
  }
  const detail = objections.map(({ source, refusal }) => `${source}: ${refusal.detail}`).join('; ');
  return { admitted: false, source: ALL, reason: 'unknown_key', detail };
}

function admitted(source: string): Judgement {
  return { admitted: true, source, isFailOpen: false };
}
