import type { AdmissionReport } from './source-admission.ts';

/** The report as plain text: one line per source, then one line per refusal, newest first. */
export function formatReport({ open, sources, refusals }: AdmissionReport): string {
  const sourceRows = sources.map(({ name, kind, problem, isUsable, keys, ageSeconds }) => [
    name,
    kind,
    problem === null ? 'ok' : isUsable ? 'down, last answer in use' : 'DOWN',
    keys === null ? '' : `${keys} keys`,
    ageSeconds === null ? '' : `${Math.round(ageSeconds)} s old`,
    problem ?? '',
  ]);
  const refusalRows = refusals.map(({ at, source, reason, key, ip, detail, wasConnected, nodeKey }) => [
    at,
    wasConnected ? 'ended' : 'refused',
    source,
    reason,
    key,
    ip,
    nodeKey,
    detail,
  ]);
  return [
    ...(open ? ['open to everyone, except the keys on a deny list'] : []),
    ...table(sourceRows),
    '',
    refusals.length === 0 ? 'no refusals' : `the last ${refusals.length} refusals, newest first`,
    ...table(refusalRows),
    '',
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}
