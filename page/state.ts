import type { Problem, RefusalsAnswer, StatusAnswer } from '../src/api/shapes.ts';
import { byId, h, show } from './dom.ts';
import { bytes, count, duration, milliseconds, percent, rate } from './format.ts';

/** The first line of the page. */
interface Verdict {
  readonly look: 'good' | 'warn' | 'bad';
  readonly sign: string;
  readonly title: string;
  readonly text: string;
}

/** Returns the health of the relay as text. `lostSeconds` is the time without an answer; null: there is one. */
function verdictOf(status: StatusAnswer, lostSeconds: number | null): Verdict {
  if (lostSeconds !== null) {
    const text = `The page has had no answer for ${duration(lostSeconds)}. What it shows is old.`;
    return { look: 'bad', sign: '✕', title: 'No answer from the relay', text };
  }
  if (status.isDraining) {
    const text = 'Clients were told when to come back; the process ends when all connections are closed.';
    return { look: 'warn', sign: '↻', title: 'The relay is stopping', text };
  }
  if (!status.isReady) {
    const text = 'Clients may not be served, or choose another relay. The reasons:';
    return { look: 'bad', sign: '✕', title: 'The relay is not ready', text };
  }
  const { connections, keys } = status.totals;
  const who =
    keys === 0
      ? 'No client is connected.'
      : `It serves ${keys === 1 ? 'one node' : `${count(keys)} nodes`} with ${connections === 1 ? 'one connection' : `${count(connections)} connections`}.`;
  if (status.warnings.length > 0) {
    return { look: 'warn', sign: '!', title: 'The relay works, but something needs attention', text: who };
  }
  return { look: 'good', sign: '✓', title: 'The relay works', text: who };
}

/** Shows the state, the numbers and the line of facts. */
export function showState(status: StatusAnswer, lostSeconds: number | null, refusals: RefusalsAnswer | null): void {
  const { look, sign, title, text } = verdictOf(status, lostSeconds);
  const listed = lostSeconds === null ? [...status.problems, ...status.warnings] : [];
  show(
    byId('state'),
    h(
      'div',
      { class: `card state ${look}` },
      h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
      h(
        'div',
        {},
        h('strong', {}, title),
        h('p', {}, text),
        listed.length === 0 ? null : h('ul', {}, ...listed.map(problemItem)),
      ),
    ),
  );
  byId('host').textContent = status.hostname ?? 'towpath';
  document.title = `${sign} ${status.hostname ?? 'towpath'}`;
  byId('facts').textContent = `towpath ${status.version} on ${status.runtime}, up ${duration(status.uptimeSeconds)}`;
  showNumbers(status, refusals);
}

function problemItem({ name, problem, advice }: Problem): HTMLElement {
  return h('li', {}, h('span', { class: 'name' }, `${name}: `), problem, h('div', { class: 'advice' }, advice));
}

function showNumbers({ totals, rates, process }: StatusAnswer, refusals: RefusalsAnswer | null): void {
  const drops = rates?.droppedPackets ?? 0;
  const duplicates = totals.duplicateKeys === 0 ? '' : `, ${count(totals.duplicateKeys)} duplicate`;
  const top = refusals?.reasons[0];
  show(
    byId('numbers'),
    number('Connections', count(totals.connections), `${count(totals.keys)} nodes${duplicates}`),
    number('At home here', count(totals.homeConnections), 'use this relay first; others come to reach them'),
    number('From clients', rate(rates?.receivedBytes ?? null), `${bytes(totals.receivedBytes)} since the start`),
    number('To clients', rate(rates?.sentBytes ?? null), `${bytes(totals.sentBytes)} since the start`),
    number('Dropped', `${count(drops)}/s`, `${count(totals.droppedPackets)} packets since the start`, drops > 0),
    h(
      'a',
      { class: 'card', href: '#refusals' },
      ...numberParts(
        'Refused, last hour',
        count(refusals?.total ?? null),
        top === undefined ? 'nothing' : `why: ${top.reason}…`,
      ),
    ),
    number(
      'Processor',
      percent(process.cpuShare),
      `of one core; longest pause ${milliseconds(process.loopDelaySeconds)}`,
    ),
    number('Memory', bytes(process.residentBytes), `${count(totals.stunAnswers)} STUN answers`),
  );
}

function number(title: string, value: string, under: string, isBad = false): HTMLElement {
  return h('div', { class: 'card' }, ...numberParts(title, value, under, isBad));
}

function numberParts(title: string, value: string, under: string, isBad = false): HTMLElement[] {
  return [
    h('h2', {}, title),
    h('div', { class: isBad ? 'number bad' : 'number' }, value),
    h('div', { class: 'under' }, under),
  ];
}
