/**
 * Writes deploy/grafana/towpath.json, a dashboard for Grafana: `npm run docs:dashboard`. The builders are Grafana's own, so
 * the types of its schema check this code.
 */
import { writeFileSync } from 'node:fs';
import {
  type Dashboard,
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

/** The dashboard; a test compares. */
export const DASHBOARD: URL = new URL('../deploy/grafana/towpath.json', import.meta.url);

/** The relays that are chosen above the panels. */
const CHOSEN = 'instance=~"$instance"';
const SOURCE = { type: 'prometheus', uid: '$source' };
/** Grafana's grid has 24 columns. */
const ROW_COLUMNS = 24;

interface Panel {
  readonly title: string;
  /** What it shows, for people who see it for the first time. */
  readonly help: string;
  /** Grafana's name of the unit. */
  readonly unit: string;
  /** Queries of Prometheus by the text of their legend. */
  readonly queries: Readonly<Record<string, string>>;
}

const STATES: readonly Panel[] = [
  state('Ready', '1: the relay serves clients.', 'none', `min(towpath_ready{${CHOSEN}})`),
  state('Connections', 'Open DERP connections.', 'short', `sum(towpath_connections{${CHOSEN}})`),
  state('Clients', 'Distinct node keys.', 'short', `sum(towpath_local_keys{${CHOSEN}})`),
  state('Certificate', 'Time until it ends.', 's', `min(towpath_certificate_expiry_seconds{${CHOSEN}})`),
  state(
    'Refused in the last hour',
    'Connections that were refused or closed by the relay.',
    'short',
    `sum(increase(towpath_refusals_total{${CHOSEN}}[1h]))`,
  ),
  state('Version', 'Of the relay.', 'none', `sum by (version) (towpath_build_info{${CHOSEN}})`, '{{version}}'),
];

const ROWS: Readonly<Record<string, readonly Panel[]>> = {
  Traffic: [
    {
      title: 'Relayed over DERP',
      help: 'Payload of packets, without headers and TLS.',
      unit: 'Bps',
      queries: {
        'from clients {{instance}}': rate('towpath_bytes_received_total', 'instance'),
        'to clients {{instance}}': rate('towpath_bytes_sent_total', 'instance'),
      },
    },
    {
      title: 'Relayed over UDP',
      help: 'Payload that the peer relay forwarded.',
      unit: 'Bps',
      queries: { '{{instance}}': rate('towpath_peer_relay_forwarded_bytes_total', 'instance') },
    },
    {
      title: 'Packets',
      help: 'Packets that clients sent, by kind. Disco packets look for direct paths.',
      unit: 'pps',
      queries: { '{{kind}}': rate('towpath_packets_received_total', 'kind') },
    },
    {
      title: 'Dropped packets',
      help: 'By reason. queue_head: a receiver was too slow.',
      unit: 'pps',
      queries: { '{{reason}}': rate('towpath_packets_dropped_total', 'reason') },
    },
  ],
  Clients: [
    {
      title: 'Connections',
      help: 'Open DERP connections, and those whose client has its home here.',
      unit: 'short',
      queries: {
        'open {{instance}}': `towpath_connections{${CHOSEN}}`,
        'home {{instance}}': `towpath_home_connections{${CHOSEN}}`,
      },
    },
    {
      title: 'Refusals',
      help: 'Connections that the relay refused or closed, by reason; docs/operating.md explains each.',
      unit: 'cps',
      queries: { '{{reason}}': rate('towpath_refusals_total', 'reason') },
    },
    {
      title: 'STUN',
      help: 'Requests by what became of them.',
      unit: 'reqps',
      queries: { '{{disposition}}': rate('towpath_stun_requests_total', 'disposition') },
    },
  ],
  Process: [
    {
      title: 'CPU',
      help: '1 is one core.',
      unit: 'percentunit',
      queries: { '{{instance}}': rate('process_cpu_seconds_total', 'instance') },
    },
    {
      title: 'Memory',
      help: 'Resident memory.',
      unit: 'bytes',
      queries: { '{{instance}}': `process_resident_memory_bytes{${CHOSEN}}` },
    },
    {
      title: 'Time in the queue',
      help: 'Moving average of the time that a packet waits in the relay before it is written.',
      unit: 's',
      queries: { '{{instance}}': `towpath_queue_delay_average_seconds{${CHOSEN}}` },
    },
  ],
};

/* eslint-disable @typescript-eslint/no-deprecated -- its successor is read by the newest Grafana only */
/** The dashboard as the code has it now. */
export function dashboard(): Dashboard {
  const builder = new DashboardBuilder('towpath')
    .uid('towpath')
    .description('Relays for Tailscale and Headscale networks')
    .tags(['towpath', 'derp'])
    .refresh('30s')
    .time({ from: 'now-3h', to: 'now' })
    .timezone('browser')
    .withVariable(new DatasourceVariableBuilder('source').label('Prometheus').type('prometheus'))
    .withVariable(
      new QueryVariableBuilder('instance')
        .label('Relay')
        .datasource(SOURCE)
        .query('label_values(towpath_build_info, instance)')
        .multi(true)
        .includeAll(true)
        .current({ selected: true, text: 'All', value: '$__all' }),
    )
    .withRow(new RowBuilder('State'));
  for (const panel of STATES) {
    builder.withPanel(
      new StatBuilder()
        .height(4)
        .span(ROW_COLUMNS / STATES.length)
        .title(panel.title)
        .description(panel.help)
        .unit(panel.unit)
        .datasource(SOURCE)
        .targets(targets(panel)),
    );
  }
  for (const [title, panels] of Object.entries(ROWS)) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels) {
      builder.withPanel(
        new TimeseriesBuilder()
          .height(8)
          .span(ROW_COLUMNS / panels.length)
          .title(panel.title)
          .description(panel.help)
          .unit(panel.unit)
          .min(0)
          .datasource(SOURCE)
          .targets(targets(panel)),
      );
    }
  }
  return builder.build();
}
/* eslint-enable @typescript-eslint/no-deprecated */

function targets({ queries }: Panel): DataqueryBuilder[] {
  return Object.entries(queries).map(([legend, query], index) =>
    new DataqueryBuilder()
      .refId(String.fromCharCode('A'.charCodeAt(0) + index))
      .expr(query)
      .legendFormat(legend),
  );
}

function state(title: string, help: string, unit: string, query: string, legend = title): Panel {
  return { title, help, unit, queries: { [legend]: query } };
}

function rate(metric: string, label: string): string {
  return `sum by (${label}) (rate(${metric}{${CHOSEN}}[$__rate_interval]))`;
}

/** The text of the file. */
export function dashboardJson(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`;
}

if (import.meta.main) writeFileSync(DASHBOARD, dashboardJson());
