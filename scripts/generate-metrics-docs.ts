/**
 * Writes docs/metrics.md from a relay that runs with every part that has metrics: `npm run docs:metrics`. So the page has
 * the names, the types, the labels and the help that Prometheus sees.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { type RelayOptions, startRelay } from '../src/start-relay.ts';

/** The page; a test compares. */
export const DOCUMENT: URL = new URL('../docs/metrics.md', import.meta.url);

const HEAD = `# Metrics

<!-- made by "npm run docs:metrics" -->

\`/metrics\` of the admin listener has these metrics in the text format of Prometheus, and besides them those of the process
and the runtime (\`process_…\`, \`nodejs_…\`). Those of a part that is not configured are absent. The files in
\`deploy/prometheus\` scrape a relay and raise alerts; \`deploy/grafana/towpath.json\` is a dashboard.

\`/debug/varz\` has what derper counts too, under the names that derper gives it (\`derp_current_connections\`,
\`derp_packets_dropped{reason,kind}\`, …): dashboards and rules made for derper go on working when they scrape this path.
`;

interface Metric {
  readonly name: string;
  readonly help: string;
  type: string;
  readonly labels: Set<string>;
}

/** The text of docs/metrics.md as the code has it now. */
export async function metricsDocs(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'towpath-metrics-'));
  try {
    const rows = parse(await scrape(folder)).map(
      ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${[...labels].join(', ')} | ${help} |`,
    );
    const text = [HEAD, '| Metric | Type | Labels | What it is |', '|---|---|---|---|', ...rows, ''].join('\n');
    return await format(text, { ...(await resolveConfig(DOCUMENT)), parser: 'markdown' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function scrape(folder: string): Promise<string> {
  const allowFile = join(folder, 'keys');
  writeFileSync(allowFile, '');
  const relay = await startRelay(allParts(folder, allowFile));
  try {
    const { admin } = relay.addresses;
    return await (await fetch(`http://127.0.0.1:${admin?.port}/metrics`)).text();
  } finally {
    await relay.close();
  }
}

function allParts(folder: string, allowFile: string): RelayOptions {
  return {
    admin: '127.0.0.1:0',
    admission: { sources: [{ kind: 'keys', name: 'team', allowFile }] },
    accounting: { enabled: true, directory: join(folder, 'accounting') },
    threads: 2,
    cluster: { valkey: `unix://${join(folder, 'none.sock')}` },
    peerRelay: {
      ports: [0],
      stateDirectory: join(folder, 'peer-relay'),
      tailnets: [{ name: 'home', controlUrl: 'http://127.0.0.1:9', hostname: 'relay' }],
    },
  };
}

/** The relay's own metrics in a text of Prometheus, sorted by name. */
function parse(text: string): Metric[] {
  const found = new Map<string, Metric>();
  for (const line of text.split('\n')) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (towpath_\w+) (.*)$/.exec(line) ?? [];
    if (word === 'HELP') found.set(name, { name, help: rest, type: '', labels: new Set() });
    else if (word === 'TYPE') found.get(name)!.type = rest;
    const [, sample = '', labels = ''] = /^(towpath_\w+)\{(.*)\} /.exec(line) ?? [];
    // No value of a label has a comma or an equals sign.
    for (const pair of labels.split(',')) if (pair !== '') found.get(sample)?.labels.add(pair.split('=')[0]!);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

if (import.meta.main) writeFileSync(DOCUMENT, await metricsDocs());
