import { printable, printableJson } from '../../base/printable.ts';
import type { Check, DoctorCheckName, Section } from './check.ts';
import { isSound } from './check.ts';
import { LABELS as PROBE_LABELS, stepLines } from '../probe/probe-report.ts';

const DOCTOR_LABELS: Readonly<Record<DoctorCheckName, string>> = {
  version: 'Version',
  config: 'Configuration',
  open: 'Open to everyone',
  advertised: 'Address of the relay',
  'key-file': 'Key file',
  'named-file': 'File',
  certificate: 'Certificate',
  clock: 'Clock',
  'time-service': 'Time service',
  'file-limit': 'File limit',
  kernel: 'Kernel settings',
  'proxy-variables': 'Proxy variables',
  'derp-port': 'DERP port',
  'served-certificate': 'Served certificate',
  'served-key': 'Key of the relay',
  'http-port': 'HTTP port',
  'stun-port': 'STUN port',
  'admin-port': 'Admin port',
  ready: 'Readiness',
  proxy: 'Proxy in front',
  'total-time': 'Time',
  names: 'DNS',
  'public-address': 'Public address',
  'derp-map': 'Entry in the map',
  mesh: 'Other relay',
  'mesh-link': 'Mesh link',
  'mesh-clock': 'Clock of another relay',
  'mesh-version': 'Version of another relay',
  'mesh-map': 'Region in the map',
  'peer-relay': 'Peer relay',
  'peer-relay-use': 'Use by a node',
  'admission-source': 'Source',
  'admission-key': 'Node key',
};
const LABELS = { ...PROBE_LABELS, ...DOCTOR_LABELS };

/** The lines of one section, for a terminal with `columns` columns. */
export function sectionLines({ title, checks }: Section, columns?: number): string {
  return `${printable(title)}\n${checks.map((found) => checkLine(found, columns)).join('')}`;
}

/** The lines of one check, for a terminal with `columns` columns. */
export function checkLine(found: Check, columns?: number): string {
  return stepLines(found, LABELS[found.step], columns);
}

/** The last line of the report. */
export function verdict(sections: readonly Section[]): string {
  const all = sections.flatMap(({ checks }) => checks);
  const count = (status: Check['status']): number => all.filter((found) => found.status === status).length;
  const [failed, warnings] = [count('failed'), count('warning')];
  const warned = warnings === 0 ? '' : `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
  if (failed === 0) return warned === '' ? 'All good\n' : `Good, with ${warned}\n`;
  return `Not good: ${failed} ${failed === 1 ? 'thing' : 'things'} to fix${warned === '' ? '' : `, ${warned}`}\n`;
}

/** The whole report for programs. */
export function doctorJson(sections: readonly Section[]): string {
  return printableJson({ ok: isSound(sections), sections });
}
