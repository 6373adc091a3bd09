/** The status page: the tables, when they are read, and the keys of the keyboard. */
import type {
  AdmissionAnswer,
  CertificateAnswer,
  ConnectionRow,
  HistoryAnswer,
  LimitsAnswer,
  MeshAnswer,
  RefusalsAnswer,
  StatusAnswer,
  ThreadsAnswer,
  UdpSessionsAnswer,
} from '../src/api/shapes.ts';
import { act, Live, read, setToken, TokenNeeded } from './api.ts';
import { connectionFacts, ConnectionTable } from './connections.ts';
import { openDialog } from './dialog.ts';
import { byId, h, show } from './dom.ts';
import {
  admissionPanel,
  certificatePanel,
  limitsPanel,
  meshPanel,
  refusalsPanel,
  threadsPanel,
  udpPanel,
} from './panels.ts';
import { Plots } from './plots.ts';
import { showState } from './state.ts';

const HISTORY_MS = 10_000;
const PANEL_MS = 5000;
const HOUR_SECONDS = 3600;

interface Tab {
  readonly title: string;
  /** Null: the connections, which arrive as live updates. */
  readonly load: (() => Promise<HTMLElement>) | null;
}

const plots = new Plots();
const connections = new ConnectionTable(() => follow(), openConnection);
const tabs: readonly Tab[] = [
  { title: 'Connections', load: null },
  { title: 'Refusals', load: async () => refusalsPanel(await read<RefusalsAnswer>('refusals')) },
  { title: 'UDP relay', load: async () => udpPanel(await read<UdpSessionsAnswer>('udp-sessions')) },
  { title: 'Mesh', load: async () => meshPanel(await read<MeshAnswer>('mesh')) },
  { title: 'Threads', load: async () => threadsPanel(await read<ThreadsAnswer>('threads')) },
  { title: 'Admission', load: async () => admissionPanel(await read<AdmissionAnswer>('admission'), allowKey) },
  { title: 'Certificate', load: async () => certificatePanel(await read<CertificateAnswer>('certificate')) },
  { title: 'Limits', load: async () => limitsPanel(await read<LimitsAnswer>('limits'), changeLimit, resetRate) },
];
let current = 0;
let status: StatusAnswer | null = null;
let refusals: RefusalsAnswer | null = null;
let lostMs: number | null = null;

const live = new Live({
  event(name, data) {
    if (name === 'status') status = data as StatusAnswer;
    else connections.update(data as never);
    redraw();
  },
  connected(isConnected) {
    lostMs = isConnected ? null : (lostMs ?? Date.now());
    redraw();
    if (isConnected) void refresh();
  },
  tokenNeeded: askToken,
});

/** Returns the name of a table in the address. */
function nameOf({ title }: Tab): string {
  return title.toLowerCase().replace(' ', '-');
}

function redraw(): void {
  if (status !== null) showState(status, lostMs === null ? null : (Date.now() - lostMs) / 1000, refusals);
}

function follow(): void {
  live.follow(tabs[current]!.load === null ? connections.wish.parameters() : null);
}

/** Reads the table that has no live updates. */
async function refresh(): Promise<void> {
  if (document.hidden || lostMs !== null) return;
  try {
    const [history, newRefusals] = await Promise.all([
      read<HistoryAnswer>('history'),
      read<RefusalsAnswer>('refusals'),
    ]);
    plots.update(history);
    refusals = newRefusals;
    redraw();
  } catch (error) {
    if (error instanceof TokenNeeded) askToken();
  }
}

async function loadPanel(): Promise<void> {
  const { load } = tabs[current]!;
  const panel = byId('panel');
  if (load === null) {
    if (panel.firstElementChild !== connections.element) panel.replaceChildren(connections.element);
    return;
  }
  // A part that the user has unfolded stays as it is.
  if (document.hidden || panel.querySelector('details[open]') !== null) return;
  const wanted = current;
  try {
    const element = await load();
    if (wanted === current) show(panel, element);
  } catch (error) {
    if (error instanceof TokenNeeded) askToken();
    else if (wanted === current && panel.childElementCount === 0) {
      show(panel, h('p', { class: 'card' }, error instanceof Error ? error.message : 'This cannot be read.'));
    }
  }
}

function choose(index: number): void {
  current = index;
  for (const [i, button] of [...byId('tabs').children].entries()) {
    button.setAttribute('aria-selected', String(i === index));
    button.setAttribute('tabindex', i === index ? '0' : '-1');
  }
  byId('panel').setAttribute('aria-labelledby', `tab-${index}`);
  byId('panel').replaceChildren();
  location.hash = nameOf(tabs[index]!);
  void loadPanel();
  follow();
}

function openConnection(row: ConnectionRow): void {
  const { key } = row;
  const deny = (seconds: number) => (): Promise<string> =>
    act('deny', { key: key ?? '', seconds, reason: 'status page' });
  const choices =
    key === null
      ? []
      : [
          { label: 'Disconnect', act: () => act('disconnect', { key }) },
          { label: 'Limit its rate…', opens: () => limitRate(row.name ?? row.shortKey, key) },
          { label: 'Deny for an hour', isDanger: true, act: deny(HOUR_SECONDS) },
          { label: 'Deny for a day', isDanger: true, act: deny(24 * HOUR_SECONDS) },
        ];
  openDialog(row.name ?? (row.shortKey === '' ? 'A connection' : row.shortKey), [connectionFacts(row)], choices);
}

function limitRate(name: string, key: string): void {
  const rateInput = h('input', {
    type: 'number',
    name: 'rate',
    id: 'rate',
    min: '0',
    step: '1',
    value: '1000',
  }) as HTMLInputElement;
  const time = h(
    'select',
    { name: 'time', id: 'time' },
    h('option', { value: String(HOUR_SECONDS) }, 'an hour'),
    h('option', { value: String(24 * HOUR_SECONDS) }, 'a day'),
    h('option', { value: '' }, 'until it is taken back or the relay restarts'),
  ) as HTMLSelectElement;
  openDialog(
    `Limit the rate of ${name}`,
    [
      h('p', {}, 'What this node may send, in place of the rate of its tier. 0 means no limit.'),
      h('p', {}, h('label', { for: 'rate' }, 'Kilobytes per second '), rateInput),
      h('p', {}, h('label', { for: 'time' }, 'For '), time),
    ],
    [
      {
        label: 'Limit',
        act: () =>
          act('limit', {
            key,
            bytesPerSecond: Math.round(Number(rateInput.value) * 1000),
            ...(time.value === '' ? {} : { seconds: Number(time.value) }),
          }),
      },
    ],
  );
}

function resetRate(key: string): void {
  openDialog(
    'Take the rate of this node back?',
    [h('p', { class: 'mono wrap' }, key), 'The rate of its tier or of the configuration holds again.'],
    [{ label: 'Take back', act: () => act('limit', { key, bytesPerSecond: null }) }],
  );
}

function allowKey(key: string): void {
  const text = 'The node can connect again at once, if an admission source lets it in.';
  openDialog(
    'Allow this key again?',
    [h('p', { class: 'mono wrap' }, key), text],
    [{ label: 'Allow', act: () => act('deny', { key, seconds: 0 }) }],
  );
}

function changeLimit(name: string, value: number): void {
  const input = h('input', {
    type: 'number',
    name: 'value',
    min: '0',
    step: '1',
    value: String(value),
    'aria-label': name,
  });
  const text = 'The change holds until the configuration is read again or the relay restarts. 0 means no limit.';
  openDialog(
    `Change ${name}`,
    [h('p', {}, text), input],
    [{ label: 'Change', act: () => act('limit', { name, value: Number((input as HTMLInputElement).value) }) }],
  );
}

function askToken(): void {
  const input = h('input', {
    type: 'password',
    name: 'token',
    'aria-label': 'Token',
    autocomplete: 'current-password',
  });
  openDialog(
    'This relay needs a token',
    [h('p', {}, 'It is in the file of admin.tokenFile. This tab keeps it.'), input],
    [
      {
        label: 'Use it',
        act: () => {
          setToken((input as HTMLInputElement).value.trim());
          follow();
          void loadPanel();
          (byId('dialog') as HTMLDialogElement).close();
          return Promise.resolve('');
        },
      },
    ],
  );
}

function onKey(event: KeyboardEvent): void {
  const isTyping = event.target instanceof HTMLInputElement;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || (byId('dialog') as HTMLDialogElement).open) return;
  const index = Number(event.key) - 1;
  if (event.key === '/') {
    choose(0);
    connections.search.focus();
    event.preventDefault();
  } else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
    const by = event.key === 'ArrowLeft' ? -1 : 1;
    if (byId('tabs').contains(document.activeElement)) {
      choose((current + by + tabs.length) % tabs.length);
      (byId('tabs').children[current] as HTMLElement).focus();
    } else if (current === 0) {
      connections.turn(by);
    }
  } else if (tabs[index] !== undefined) {
    choose(index);
  }
}

for (const [i, { title }] of tabs.entries()) {
  byId('tabs').append(
    h(
      'button',
      { type: 'button', role: 'tab', id: `tab-${i}`, 'aria-controls': 'panel', click: () => choose(i) },
      title,
    ),
  );
}
byId('reload').addEventListener('click', () => {
  const text = 'Configuration, certificate and key lists are read again, as SIGHUP does. Open connections stay.';
  openDialog('Reload the configuration?', [text], [{ label: 'Reload', act: () => act('reload', {}) }]);
});
byId('drain').addEventListener('click', () => {
  const text =
    'Clients are told to connect again, their connections are closed, and the process ends. It starts again only if a service manager starts it.';
  openDialog(
    'Drain and stop the relay?',
    [text],
    [{ label: 'Drain and stop', isDanger: true, act: () => act('drain', {}) }],
  );
});
document.addEventListener('keydown', onKey);
document.addEventListener('visibilitychange', () => void refresh());
setInterval(() => void refresh(), HISTORY_MS);
setInterval(() => void loadPanel(), PANEL_MS);
setInterval(redraw, 1000);
/** Returns the index of the table in the address, or −1. */
function indexOfHash(): number {
  return tabs.findIndex((tab) => `#${nameOf(tab)}` === location.hash);
}

addEventListener('hashchange', () => {
  const index = indexOfHash();
  if (index < 0 || index === current) return;
  choose(index);
  byId('panel').focus();
});
choose(Math.max(0, indexOfHash()));
