import { readFileSync } from 'node:fs';
import { DISTURBED, FOREIGN_SHARE, Fresh, GENERATOR_LIMITED, ORDINARY, type Case, type Sample } from './case.ts';
import type { BenchOptions } from './options.ts';
import { runGenerator, runTailscale } from './programs.ts';
import type { HandshakeResult, IdleResult, StunResult, StunWindow } from './programs.ts';
import { type Server, ServerName } from './server.ts';
import { summarize } from './statistics.ts';

/** Fewer rounds, because opening idle connections takes long and their memory varies little. */
const IDLE_ROUNDS = 3;
/** In this time each connection gets one KeepAlive: they are due after 60 to 65 seconds. */
const KEEP_ALIVE_WATCH = '63s';
const SHORT_WATCH = '3s';
/** More connections than one address has ports. */
const MANY_CONNECTIONS = 50_000;
/** Files that a server or a generator has open besides its connections. */
const SPARE_FILES = 200;

/** The cases without packets between two clients of the generator: STUN, handshakes, tailscaled, idle connections. */
export function heldCases(options: BenchOptions): Case[] {
  const rounds = options.short ? 1 : Infinity;
  return [
    { ...stunCase(), rounds },
    { ...handshakeCase(options.short ? 300 : 1000), rounds },
    { ...tailscaledCase(options.megabytes), rounds },
    { ...idleCase(options.idleConnections, options.short), rounds: options.short ? 1 : IDLE_ROUNDS },
    ...(options.short ? [] : [manyIdleCase(MANY_CONNECTIONS)]),
  ];
}

function stunCase(): Case {
  return {
    name: 'stun',
    title: "Tailscale's STUN requests from 8 ports, 192 under way",
    metrics: [
      { key: 'kpps', title: 'answers, thousands/s', digits: 1, ratio: false },
      { key: 'cpuUs', title: 'CPU µs/answer', digits: 2, ratio: true },
      { key: 'lostPercent', title: 'lost %', digits: 2, ratio: false },
    ],
    ...{ ...ORDINARY, fresh: Fresh.PerRound },
    async run(server, { windows }) {
      const where = ['-address', `127.0.0.1:${server.stunPort}`, '-pid', String(server.pid)];
      const result = await runGenerator<StunResult>('stun', ...where, ...windows);
      const median = (value: (window: StunWindow) => number): number =>
        summarize(result.windows.map(value))?.median ?? 0;
      const foreign = median((window) => window.foreignShare);
      return {
        values: {
          kpps: median((window) => window.answers / window.seconds) / 1000,
          cpuUs: median((window) => (window.serverSeconds / window.answers) * 1e6),
          lostPercent: (result.lost / result.sent) * 100,
          serverPercent: median((window) => window.serverShare) * 100,
        },
        foreignShare: foreign,
        notes: [
          ...(result.generatorLimited ? [GENERATOR_LIMITED] : []),
          ...(foreign > FOREIGN_SHARE ? [DISTURBED] : []),
        ],
      };
    },
  };
}

function idleCase(connections: number, short: boolean): Case {
  return {
    name: 'idle',
    title: `${connections} TLS connections held`,
    metrics: [
      { key: 'kibPerConnection', title: 'RSS KiB/connection', digits: 1, ratio: true },
      { key: 'idlePercent', title: 'CPU % while idle', digits: 2, ratio: false },
    ],
    ...{ ...ORDINARY, fresh: Fresh.Always },
    run: (server) => hold(server, connections, short ? SHORT_WATCH : KEEP_ALIVE_WATCH),
  };
}

/** Shows that the memory of a connection does not grow with the number of connections. */
function manyIdleCase(connections: number): Case {
  return {
    name: 'idle-many',
    title: `${connections} TLS connections held, from several loopback addresses`,
    metrics: [{ key: 'kibPerConnection', title: 'RSS KiB/connection', digits: 1, ratio: false }],
    ...{ ...ORDINARY, fresh: Fresh.Always, rounds: 1, servers: [ServerName.Bun] },
    env: { TOWPATH_LIMITS_CONNECTIONS: String(2 * connections), TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '0' },
    async run(server) {
      const files = openFilesLimit();
      if (files >= connections + SPARE_FILES) return hold(server, connections, null);
      const note = `skipped: it needs ${connections + SPARE_FILES} open files, and "ulimit -n" allows ${files}`;
      return { values: {}, foreignShare: null, notes: [note] };
    },
  };
}

async function hold(server: Server, connections: number, watch: string | null): Promise<Sample> {
  const flags = ['-address', server.address, '-pid', String(server.pid), '-n', String(connections)];
  const result = await runGenerator<IdleResult>('idle', ...flags, ...(watch === null ? [] : ['-watch', watch]));
  return {
    values: {
      kibPerConnection: result.bytesPerConnection / 1024,
      rssBeforeMiB: result.rssBefore / 2 ** 20,
      rssAfterMiB: result.rssAfter / 2 ** 20,
      idlePercent: watch === null ? null : result.serverShare * 100,
    },
    foreignShare: null,
    notes: [],
  };
}

/** Returns the limit of open files of this process; its child processes have the same. */
function openFilesLimit(): number {
  const soft = /^Max open files +(\w+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return soft === 'unlimited' ? Infinity : Number(soft);
}

function handshakeCase(count: number): Case {
  return {
    name: 'handshake',
    title: `${count} full TLS and DERP handshakes, after as many to warm up`,
    metrics: [
      { key: 'cpuMs', title: 'CPU ms/handshake', digits: 3, ratio: true },
      { key: 'coldMs', title: 'the same, of the first ones', digits: 3, ratio: true },
    ],
    ...{ ...ORDINARY, fresh: Fresh.Always },
    async run(server) {
      const flags = ['-address', server.address, '-pid', String(server.pid), '-n', String(count)];
      const cold = await runGenerator<HandshakeResult>('handshake', ...flags);
      const warm = await runGenerator<HandshakeResult>('handshake', ...flags);
      const foreignShare = Math.max(cold.foreignShare, warm.foreignShare);
      const values = {
        cpuMs: warm.serverMsPerHandshake,
        coldMs: cold.serverMsPerHandshake,
        handshakesPerSecond: warm.perSecond,
      };
      return { values, foreignShare, notes: foreignShare > FOREIGN_SHARE ? [DISTURBED] : [] };
    },
  };
}

function tailscaledCase(megabytes: number): Case {
  return {
    name: 'tailscaled',
    title: `two stock tailscaled, ${megabytes} MB each way, nothing pinned`,
    metrics: [
      { key: 'cpuMsPerMb', title: 'CPU ms/MB', digits: 1, ratio: true },
      { key: 'mbit', title: 'Mbit/s', digits: 0, ratio: true },
    ],
    ...{ ...ORDINARY, pinned: false, fresh: Fresh.Always },
    async run(server, { files }) {
      const where = ['-port', String(server.port), '-stun-port', String(server.stunPort), '-pin', files.pin];
      const { transfers } = await runTailscale(...where, '-pid', String(server.pid), '-megabytes', String(megabytes));
      const sum = (key: 'megabytes' | 'seconds' | 'serverSeconds'): number =>
        transfers.reduce((total, transfer) => total + transfer[key], 0);
      return {
        values: {
          cpuMsPerMb: (sum('serverSeconds') * 1000) / sum('megabytes'),
          mbit: (sum('megabytes') * 8) / sum('seconds'),
        },
        foreignShare: null,
        notes: [],
      };
    },
  };
}
