import type { TrafficRow } from './traffic-store.ts';

/** Formats of an export. */
export const EXPORT_FORMATS = ['csv', 'json'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** The names of the columns, and of the fields in JSON. */
const COLUMNS = ['day', 'key', 'path', 'sent_bytes', 'sent_packets', 'received_bytes', 'received_packets'];
/** Rows in one piece of text. */
const ROWS_AT_ONCE = 500;

/** Returns the rows as pieces of text: CSV with a header line (RFC 4180), or a JSON list with one row per line. */
export async function* exportTraffic(rows: AsyncIterable<TrafficRow>, format: ExportFormat): AsyncGenerator<string> {
  const isCsv = format === 'csv';
  let piece = isCsv ? `${COLUMNS.join(',')}\r\n` : '[';
  let count = 0;
  for await (const row of rows) {
    const values = valuesOf(row);
    if (isCsv) piece += `${values.join(',')}\r\n`;
    else
      piece += `${count === 0 ? '\n' : ',\n'}${JSON.stringify(Object.fromEntries(COLUMNS.map((name, i) => [name, values[i]])))}`;
    count++;
    if (count % ROWS_AT_ONCE !== 0) continue;
    yield piece;
    piece = '';
  }
  yield isCsv ? piece : `${piece}\n]\n`;
}

/** No value needs quotes in CSV: days, hex digits, words and numbers. */
function valuesOf(row: TrafficRow): (string | number)[] {
  const { day, key, path, sentBytes, sentPackets, receivedBytes, receivedPackets } = row;
  return [day, `nodekey:${key}`, path, sentBytes, sentPackets, receivedBytes, receivedPackets];
}
