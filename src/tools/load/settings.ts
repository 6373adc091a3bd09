import { formatBits, formatCount } from './format.ts';
import type { ConnectionGroup, LoadPlan, LoadTarget, PairGroup, Sending } from './plan.ts';

/** Returns the settings of a run as lines of text, for readers who do not have the command line. */
export function settingsOf(plan: LoadPlan): string[] {
  const { target, groups, stalled, connections, workers, coalesce, durationMs, warmUpMs } = plan;
  const lines = groups.map(groupText);
  if (stalled !== null) {
    const bits = formatBits(stalled.packetsPerSecond * stalled.packetBytes * 8);
    lines.push(`${stalled.receivers} receivers that do not read, sent ${bits} together`);
  }
  if (connections !== null) lines.push(connectionsText(connections));
  if (groups.length > 0 && coalesce > 1) lines.push(`${coalesce} packets in each write`);
  lines.push(
    transportText(target),
    `warm-up ${warmUpMs / 1000} s, measured for ${durationMs / 1000} s, ${workersText(workers)}`,
  );
  return lines;
}

/** Returns the number of worker threads as text. */
export function workersText(workers: number): string {
  return workers === 1 ? '1 worker' : `${workers} workers`;
}

function groupText({ className, pairs, packetBytes, sending }: PairGroup): string {
  const kind = className === 'pairs' ? 'pairs' : `${className} pairs`;
  return `${pairs} ${kind}, packets of ${packetBytes} B, ${sendingText(sending, packetBytes)}`;
}

function sendingText(sending: Sending, packetBytes: number): string {
  switch (sending.kind) {
    case 'rate': {
      const bits = formatBits(sending.packetsPerSecond * packetBytes * 8);
      return `${formatCount(sending.packetsPerSecond)}/s (${bits}) each`;
    }
    case 'window':
      return `${sending.packets} under way in each`;
    case 'flood':
      return 'as fast as their connections take them';
  }
}

function connectionsText({ pattern, connections, perSecond }: ConnectionGroup): string {
  const pace = perSecond === 0 ? 'as fast as it goes' : `${formatCount(perSecond)} a second`;
  switch (pattern) {
    case 'idle':
      return `${connections} connections, opened ${pace} and held`;
    case 'ramp':
      return `up to ${connections} connections, opened ${pace}`;
    case 'churn':
      return `${connections} connections, the oldest replaced ${pace}`;
  }
}

function transportText({ url, websocket, verify }: LoadTarget): string {
  const way = websocket ? 'WebSocket' : 'DERP';
  if (!url.startsWith('https:')) return `${way} without TLS`;
  return `${way} over TLS, certificate ${verify.kind === 'none' ? 'not checked' : 'checked'}`;
}
