import type { Ledger } from './soak-ledger.ts';
import type { Metrics } from './soak-relay.ts';

/** One condition, with its text. */
export interface Check {
  readonly what: string;
  readonly holds: boolean;
  readonly detail: string;
}

/**
 * On a busy machine, the relay may count another reason than the intended one: a silence after TLS may end
 * during TLS, or a failed connect is not counted here. Counts may differ by this part.
 */
const REFUSAL_SLACK = 3;
const REFUSAL_SLACK_FRACTION = 0.02;
/** Part of the packets that may not have left this machine, because their client was reset. */
const UNSENT_FRACTION = 0.01;

/** Returns the sum of all values of a metric, or of those with a label, for example `reason="tls_error"`. */
export function sum(metrics: Metrics, name: string, label = ''): number {
  let total = 0;
  for (const [key, value] of metrics) {
    if ((key === name || key.startsWith(`${name}{`)) && key.includes(label)) total += value;
  }
  return total;
}

/** Returns the counted refusals by reason, without reasons that have none. */
export function refusalsOf(metrics: Metrics): Map<string, number> {
  const found = new Map<string, number>();
  for (const [key, value] of metrics) {
    const reason = /^towpath_refusals_total\{reason="(\w+)"\}$/.exec(key)?.[1];
    if (reason !== undefined && value > 0) found.set(reason, value);
  }
  return found;
}

/** Checks the sums of connections, packets and STUN, after all clients except the scrape have disconnected. */
export function addUp(metrics: Metrics, ledger: Ledger, scrapes: number): Check[] {
  const get = (name: string, label?: string): number => sum(metrics, `towpath_${name}`, label);
  const failed = ['tls_timeout', 'tls_error', 'tls_closed', 'source_limit', 'connection_limit', 'handshake_limit']
    .map((reason) => get('refusals_total', `reason="${reason}"`))
    .reduce((a, b) => a + b, 0);
  const received = get('packets_received_total');
  return [
    equal('packets received = sent + dropped', received, get('packets_sent_total') + get('packets_dropped_total')),
    within(
      'packets received by the relay = sent by the clients, but for those of clients that were reset',
      received,
      ledger.packets * (1 - UNSENT_FRACTION),
      ledger.packets,
    ),
    equal(
      'TCP accepts = TLS handshakes + failed ones + scrapes',
      get('tcp_accepts_total'),
      get('tls_connections_total') + failed + scrapes,
    ),
    within(
      'TCP accepts = connects of the generator + scrapes, but for those that were reset at once',
      get('tcp_accepts_total'),
      ledger.tcp + scrapes - ledger.unseen,
      ledger.tcp + scrapes,
    ),
    equal('upgrades to DERP = those of the generator', get('accepts_total'), ledger.upgrades),
    equal('open streams = the one of this scrape', get('open_streams'), 1),
    equal('DERP connections', get('connections'), 0),
    equal('keys', get('local_keys'), 0),
    equal('keys with several connections', get('duplicate_keys') + get('duplicate_connections'), 0),
    equal('home connections', get('home_connections'), 0),
    equal('write timeouts = refusals for them', get('write_timeouts_total'), get('refusals_total', '"write_timeout"')),
    equal('STUN requests answered = sent', get('stun_requests_total', '"success"'), ledger.stunSent),
    equal('STUN answers received = sent', ledger.stunAnswered, ledger.stunSent),
    equal('pings received = answered', get('pings_received_total'), get('pongs_sent_total')),
  ];
}

/** Checks that each caused refusal is counted under its reason, and no other. */
export function compareRefusals(
  counted: ReadonlyMap<string, number>,
  { caused, possible }: Pick<Ledger, 'caused' | 'possible'>,
): Check[] {
  const expected: ReadonlyMap<string, number> = caused;
  const more: ReadonlyMap<string, number> = possible;
  const reasons = [...new Set([...expected.keys(), ...counted.keys()])].sort();
  return reasons.map((reason) => {
    const [is, least, extra] = [counted.get(reason) ?? 0, expected.get(reason) ?? 0, more.get(reason) ?? 0];
    const slack = Math.max(REFUSAL_SLACK, least * REFUSAL_SLACK_FRACTION);
    return {
      what: `refusals for ${reason}`,
      // At least one must be counted.
      holds: is >= least - slack && is <= least + extra + slack && (least === 0 || is > 0),
      detail: `${is} counted, ${least} caused${extra > 0 ? ` and up to ${extra} more` : ''}`,
    };
  });
}

function equal(what: string, left: number, right: number): Check {
  return { what, holds: left === right, detail: left === right ? String(left) : `${left} is not ${right}` };
}

function within(what: string, value: number, least: number, most: number): Check {
  return { what, holds: value >= least && value <= most, detail: `${value} of ${most}` };
}
