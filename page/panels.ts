import type {
  AdmissionAnswer,
  CertificateAnswer,
  LimitsAnswer,
  MeshAnswer,
  RefusalsAnswer,
  ThreadRow,
  ThreadsAnswer,
  UdpSessionRow,
  UdpSessionsAnswer,
} from '../src/api/shapes.ts';
import { facts, h, table, tag } from './dom.ts';
import { bytes, count, duration, localTime, milliseconds, rate } from './format.ts';

type Reason = RefusalsAnswer['reasons'][number];
type Source = AdmissionAnswer['sources'][number];
type MeshLink = MeshAnswer['links'][number];
type Limit = LimitsAnswer['limits'][number];

/** Shows the refusals of the last hour, with the meaning of each reason. */
export function refusalsPanel({ total, reasons }: RefusalsAnswer): HTMLElement {
  return h(
    'div',
    { class: 'card' },
    h('p', { class: 'soft' }, `Refused or ended by the relay in the last hour: ${count(total)}.`),
    table<Reason>(
      [
        { title: 'Reason', look: 'mono', cell: ({ reason }) => reason },
        { title: 'Count', look: 'right', cell: (row) => count(row.count) },
        { title: 'Last hour', cell: ({ perMinute }) => bars(perMinute) },
        { title: 'Meaning', look: 'wide', cell: (row) => explanation(row) },
      ],
      reasons,
      { empty: 'Nothing was refused.' },
    ),
  );
}

function explanation({ reason, meaning, advice, last }: Reason): HTMLElement {
  const examples = last.map(({ at, ip, shortKey, detail }) =>
    h('li', { class: 'wrap' }, `${localTime(at)}: ${ip} ${shortKey} ${detail}`.trim()),
  );
  return h(
    'div',
    {},
    meaning,
    h(
      'details',
      {},
      h('summary', {}, 'What to do, and the last ones'),
      h('p', {}, advice),
      h('p', { class: 'soft' }, `More: docs/refusals.md#${reason}`),
      h('ul', {}, ...examples),
    ),
  );
}

/** Makes a bar for each value. The highest one has the full height. */
function bars(values: readonly number[]): HTMLElement {
  const most = Math.max(1, ...values);
  const shown = values.map((value) => {
    const bar = h('i');
    bar.style.height = `${(100 * value) / most}%`;
    return bar;
  });
  return h('div', { class: 'bars', role: 'img', 'aria-label': `at most ${most} in a minute` }, ...shown);
}

/** Shows the UDP relay and its sessions. */
export function udpPanel(answer: UdpSessionsAnswer): HTMLElement {
  if (!answer.isOn) {
    return h('div', { class: 'card soft' }, 'The UDP relay is off: no tailnet is configured (peerRelay.tailnets).');
  }
  const drops = Object.entries(answer.drops).filter(([, packets]) => packets > 0);
  return h(
    'div',
    { class: 'card' },
    facts([
      ['listens', answer.listens.join(', ')],
      ['clients are told', answer.addresses.join(', ') || 'nothing'],
      ['sessions', `${count(answer.open)} open, ${count(answer.connecting)} connecting`],
      ['forwarded', `${count(answer.forwardedPackets)} packets, ${bytes(answer.forwardedBytes)}`],
      ['dropped', drops.map(([reason, packets]) => `${reason}: ${count(packets)}`).join(', ') || 'nothing'],
      ...answer.tailnets.map(
        ({ name, isReady, problems, nodes, grantedNodes }) =>
          [
            `tailnet ${name}`,
            h(
              'span',
              {},
              tag(isReady ? 'ready' : 'not ready', isReady ? 'good' : 'bad'),
              `${count(grantedNodes)} of ${count(nodes)} nodes may use it. `,
              problems.map(({ problem, advice }) => `${problem}. ${advice}`).join(' '),
            ),
          ] as const,
      ),
    ]),
    table<UdpSessionRow>(
      [
        { title: 'VNI', look: 'mono', cell: ({ vni }) => String(vni) },
        { title: 'State', cell: ({ state }) => tag(state, state === 'open' ? 'good' : 'warn') },
        { title: 'Age', look: 'right', cell: ({ ageSeconds }) => duration(ageSeconds) },
        { title: 'One side', look: 'wide', cell: ({ sides }) => sideText(sides[0]) },
        { title: 'Other side', look: 'wide', cell: ({ sides }) => sideText(sides[1]) },
      ],
      answer.sessions.rows,
      { empty: 'There are no sessions.' },
    ),
  );
}

function sideText(side: UdpSessionRow['sides'][number] | undefined): string {
  if (side === undefined) return '';
  const seen = side.seenSecondsAgo === null ? 'nothing yet' : `${duration(side.seenSecondsAgo)} ago`;
  return `${side.node ?? side.disco} ${side.address}: ${bytes(side.bytes)}, ${seen}`;
}

/** Shows the links to the other relays of the region. */
export function meshPanel({ links }: MeshAnswer): HTMLElement {
  return h(
    'div',
    { class: 'card' },
    table<MeshLink>(
      [
        { title: 'Relay', look: 'wide', cell: ({ name, address }) => `${name} ${address}`.trim() },
        { title: 'State', cell: (link) => linkState(link) },
        { title: 'For', look: 'right', cell: ({ ageSeconds }) => duration(ageSeconds) },
        { title: 'Round trip', look: 'right', cell: ({ roundTripSeconds }) => milliseconds(roundTripSeconds) },
        { title: 'Keys', look: 'right', cell: ({ keys }) => count(keys) },
        { title: 'Sent', look: 'right', cell: ({ sentBytes }) => bytes(sentBytes) },
        { title: 'Dropped', look: 'right', cell: ({ droppedPackets }) => count(droppedPackets) },
        { title: 'Queue', look: 'right', cell: ({ queuedBytes }) => bytes(queuedBytes) },
        { title: 'Problem', look: 'wide wrap', cell: ({ problem }) => problem },
      ],
      links,
      { empty: 'This relay has no links to other relays of its region (mesh.with).' },
    ),
  );
}

function linkState({ state }: MeshLink): HTMLElement {
  return tag(state, state === 'open' ? 'good' : state === 'waiting' || state === 'closed' ? 'bad' : 'warn');
}

/** Shows the relay threads. */
export function threadsPanel({ threads }: ThreadsAnswer): HTMLElement {
  return h(
    'div',
    { class: 'card' },
    h(
      'p',
      { class: 'soft' },
      threads.length === 1
        ? 'The relay uses one processor core (threads).'
        : 'Clients are spread over these threads. Counts are since the start of each.',
    ),
    table<ThreadRow>(
      [
        { title: 'Thread', cell: ({ index }) => (index === 0 ? 'main' : String(index)) },
        { title: 'State', cell: ({ isRunning }) => tag(isRunning ? 'runs' : 'starts', isRunning ? 'good' : 'bad') },
        { title: 'Connections', look: 'right', cell: ({ connections }) => count(connections) },
        { title: 'Packets from clients', look: 'right', cell: ({ receivedPackets }) => count(receivedPackets) },
        { title: 'Packets to clients', look: 'right', cell: ({ sentPackets }) => count(sentPackets) },
        { title: 'Dropped', look: 'right', cell: ({ droppedPackets }) => count(droppedPackets) },
        { title: 'Queue', look: 'right', cell: ({ queuedBytes }) => bytes(queuedBytes) },
        { title: 'Restarts', look: 'right', cell: ({ restarts }) => count(restarts) },
        { title: 'Last fault', look: 'wide wrap', cell: (row) => lastFault(row) },
      ],
      threads,
      { empty: 'There are no threads.' },
    ),
  );
}

function lastFault({ endedAt, problem }: ThreadRow): string {
  return endedAt === null ? '' : `${localTime(endedAt)}: ${problem ?? ''}`;
}

/** Shows which clients may connect. `allow` removes a denial. */
export function admissionPanel(
  { isOpen, sources, denials }: AdmissionAnswer,
  allow: (key: string) => void,
): HTMLElement {
  return h(
    'div',
    { class: 'card' },
    h(
      'p',
      {},
      isOpen
        ? 'Everyone may use this relay who is not on a deny list.'
        : 'Nodes that a source lets in may use this relay.',
    ),
    table<Source>(
      [
        { title: 'Source', cell: ({ name, kind }) => `${name} (${kind})` },
        { title: 'State', cell: (source) => sourceState(source) },
        { title: 'Keys', look: 'right', cell: ({ keys }) => (keys === null ? 'asked one by one' : count(keys)) },
        { title: 'Last answer', look: 'right', cell: ({ ageSeconds }) => duration(ageSeconds) },
        { title: 'Problem', look: 'wide wrap', cell: ({ problem }) => problem },
      ],
      sources,
      { empty: 'No admission source is configured.' },
    ),
    h('h2', {}, 'Denied for a time'),
    table<AdmissionAnswer['denials'][number]>(
      [
        { title: 'Key', look: 'mono wrap wide', cell: ({ key }) => key },
        { title: 'Until', cell: ({ until }) => localTime(until) },
        { title: 'Reason', look: 'wrap', cell: ({ reason }) => reason },
        { title: '', cell: ({ key }) => h('button', { type: 'button', click: () => allow(key) }, 'Allow again') },
      ],
      denials,
      { empty: 'No key is denied. Open a connection in the table to deny its key.' },
    ),
  );
}

function sourceState({ problem, isUsable }: Source): HTMLElement {
  if (problem === null) return tag('works', 'good');
  return isUsable ? tag('last answer in use', 'warn') : tag('down', 'bad');
}

/** Shows the certificate in use. */
export function certificatePanel(answer: CertificateAnswer): HTMLElement {
  if (answer.transport === 'plain') return h('div', { class: 'card soft' }, 'A proxy in front of the relay does TLS.');
  const look = answer.daysLeft < 0 ? 'bad' : answer.daysLeft < 7 ? 'warn' : 'good';
  return h(
    'div',
    { class: 'card' },
    facts([
      ['from', answer.origin],
      ['names', answer.names.join(', ')],
      ['valid', h('span', {}, tag(`${answer.daysLeft} days left`, look), `until ${localTime(answer.notAfter)}`)],
      ['pin', h('span', { class: 'mono' }, answer.pin)],
      [
        'clients check',
        answer.isSelfSigned ? 'its pin, from the DERP map' : 'the certificate authority, and the name in the DERP map',
      ],
      ...(answer.next === null
        ? []
        : [['next', `${answer.next.pin} from ${localTime(answer.next.from)}: add this pin now`] as const]),
      ...(answer.isProvisional
        ? [['note', 'It stands in for one that is being obtained: do not pin it.'] as const]
        : []),
    ]),
  );
}

/** Shows the limits. `change` asks for another value, `reset` removes the change of a key. */
export function limitsPanel(
  { limits, keys }: LimitsAnswer,
  change: (name: string, value: number) => void,
  reset: (key: string) => void,
): HTMLElement {
  return h(
    'div',
    { class: 'card' },
    table<Limit>(
      [
        { title: 'Limit', look: 'mono wide', cell: ({ name }) => name },
        { title: 'Value', look: 'right', cell: ({ value }) => (value === null ? 'computed' : count(value)) },
        { title: 'In use', look: 'right', cell: ({ used }) => (used === null ? '' : count(used)) },
        { title: 'Meaning', look: 'wide', cell: ({ help }) => help },
        {
          title: '',
          cell: ({ name, value, isChangeable, isChanged }) =>
            isChangeable
              ? h(
                  'span',
                  {},
                  isChanged ? tag('changed', 'warn') : null,
                  h('button', { type: 'button', click: () => change(name, value ?? 0) }, 'Change'),
                )
              : null,
        },
      ],
      limits,
      { empty: 'There are no limits.' },
    ),
    h('h2', {}, 'Nodes whose rate was changed'),
    table<LimitsAnswer['keys'][number]>(
      [
        { title: 'Key', look: 'mono wrap wide', cell: ({ key }) => key },
        {
          title: 'May send',
          look: 'right',
          cell: (row) => (row.bytesPerSecond === 0 ? 'no limit' : rate(row.bytesPerSecond)),
        },
        { title: 'Until', cell: ({ until }) => (until === null ? 'it is taken back' : localTime(until)) },
        { title: '', cell: ({ key }) => h('button', { type: 'button', click: () => reset(key) }, 'Take back') },
      ],
      keys,
      { empty: 'None. Open a connection in the table to change the rate of its node.' },
    ),
  );
}
