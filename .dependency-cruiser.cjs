// Who may import whom. The table in docs/architecture.md is made of this: `npm run docs:layers`.
// Each folder lists all it may import besides itself. A name stands for the folders inside it too: `relay` in a list is all of
// src/relay/, `relay/door` that folder alone.
const folders = {
  base: {
    what: 'errors, time and waiting, IP addresses, printable text, private files, facts about the process',
    first: 'errors.ts',
    imports: [],
  },
  wire: {
    what: 'bytes ⇄ values, pure: frames, handshake, keys, box, STUN, PROXY header, heads of HTTP requests',
    first: 'frames.ts',
    imports: ['base'],
  },
  system: {
    what: 'what only the runtime has: system calls of Linux by FFI, and SQLite, each behind one port',
    first: 'port.ts',
    imports: ['base'],
  },
  transport: {
    what: 'sockets of the runtime behind one port; an HTTP client',
    first: 'port.ts',
    imports: ['base', 'wire', 'system', 'certificates/x509'],
  },
  observe: { what: 'counters, metric names, log, health', first: 'counters.ts', imports: ['base', 'wire'] },
  'certificates/x509': {
    what: 'certificates as bytes (DER), and the one that carries the key of the relay',
    first: 'x509.ts',
    imports: ['base', 'wire'],
  },
  certificates: {
    what: 'self-signed, files, ACME; renewal and hot swap',
    first: 'source.ts',
    imports: ['base', 'wire', 'transport', 'observe', 'config'],
  },
  'derp-map': {
    what: 'the DERP map: read, build, print, advertise',
    first: 'derp-map.ts',
    imports: ['base', 'wire', 'transport', 'certificates', 'config'],
  },
  config: { what: 'one schema; file, environment, flags', first: 'schema.ts', imports: ['base', 'wire'] },
  admission: {
    what: 'who may come in',
    first: 'source.ts',
    imports: ['base', 'wire', 'transport', 'observe', 'config', 'relay/session'],
  },
  api: {
    what: 'shapes of the JSON API of the admin listener',
    first: 'shapes.ts',
    imports: [],
  },
  accounting: {
    what: 'what the clients may use and have used: tiers, quotas, traffic by key and day',
    first: 'client-policy.ts',
    imports: ['base', 'wire', 'system', 'observe', 'config', 'admission', 'relay/session', 'relay/fairness'],
  },
  cluster: {
    what: 'what the relays of a region count together, through a Valkey or Redis server',
    first: 'region.ts',
    imports: ['base', 'observe', 'config', 'accounting'],
  },
  http: {
    what: 'pages, probes, bootstrap DNS, administration',
    first: 'relay-handler.ts',
    imports: ['api', 'base', 'wire', 'observe', 'config'],
  },
  client: {
    what: 'a DERP client, and one of the admin API',
    first: 'derp-client.ts',
    imports: ['api', 'base', 'wire', 'transport', 'certificates/x509'],
  },
  tailnet: {
    what: 'being a node of a tailnet: control protocol, network map, allocations of the peer relay',
    first: 'node.ts',
    imports: ['base', 'wire', 'transport', 'observe', 'relay/routing', 'relay/udp'],
  },
  relay: {
    what: 'one relay: puts the folders of the data plane together',
    first: 'relay.ts',
    imports: ['base', 'wire', 'system', 'transport', 'observe'],
  },
  'relay/fairness': {
    what: 'what each key and all together may send: token bucket, fair share',
    first: 'shares.ts',
    imports: ['base', 'wire'],
  },
  'relay/routing': {
    what: 'who is where: router, peer table, duplicates, contacts',
    first: 'router.ts',
    imports: ['base', 'wire', 'observe'],
  },
  'relay/door': {
    what: 'connections before they are sessions: first request head, limits by source, WebSocket',
    first: 'front-door.ts',
    imports: ['base', 'wire', 'transport', 'observe'],
  },
  'relay/session': {
    what: 'one connection: handshake, frames, outbox, keep-alive; what it asks of an admission',
    first: 'session.ts',
    imports: ['base', 'wire', 'transport', 'observe', 'relay/door', 'relay/routing', 'relay/fairness'],
  },
  'relay/threads': {
    what: 'several relay threads of one process: shared-memory rings, who is where in the others',
    first: 'thread-links.ts',
    imports: ['base', 'wire', 'observe', 'relay/routing', 'relay/session'],
  },
  'relay/mesh': {
    what: 'links to the other relays of the region',
    first: 'mesh.ts',
    imports: ['base', 'wire', 'transport', 'observe', 'client', 'relay/routing', 'relay/session'],
  },
  'relay/udp': {
    what: 'the STUN server, and the door of the UDP relay',
    first: 'port.ts',
    imports: ['base', 'wire', 'system', 'transport', 'observe'],
  },
  service: {
    what: 'one process: start, reload, drain, close; listeners, liveness, self-test',
    first: 'service.ts',
    imports: [
      'api',
      'base',
      'wire',
      'system',
      'transport',
      'observe',
      'config',
      'certificates',
      'derp-map',
      'admission',
      'accounting',
      'cluster',
      'http',
      'client',
      'relay',
      'tailnet',
    ],
  },
  'tools/probe': {
    what: 'the steps of `towpath probe`',
    first: 'probe.ts',
    imports: ['base', 'wire', 'transport', 'certificates/x509', 'client', 'derp-map'],
  },
  'tools/load': {
    what: 'the load tester: worker threads, what they measure, reports',
    first: 'coordinator.ts',
    imports: ['base', 'wire', 'transport', 'client'],
  },
  'tools/doctor': {
    what: 'the checks of `towpath doctor`',
    first: 'doctor.ts',
    imports: [
      'base',
      'wire',
      'transport',
      'observe',
      'config',
      'certificates',
      'derp-map',
      'admission',
      'client',
      'relay/session',
      'relay/mesh',
      'service',
      'tools/probe',
    ],
  },
  'tools/migrate': {
    what: "from derper's flags to our configuration",
    first: 'convert.ts',
    imports: ['base', 'wire', 'config', 'certificates'],
  },
  'tools/setup': {
    what: 'the questions of `towpath setup`; the configuration and the service made of the answers',
    first: 'plan.ts',
    imports: ['base', 'wire', 'transport', 'config', 'tools/migrate', 'tools/doctor'],
  },
  'tools/watch': {
    what: 'what `towpath status` and `towpath top` print',
    first: 'status-text.ts',
    imports: ['api', 'base', 'tools/load'],
  },
  'start-relay': {
    what: 'a relay inside another program',
    imports: ['base', 'wire', 'transport', 'observe', 'config', 'derp-map', 'service'],
  },
  cli: {
    what: 'one file per command',
    first: 'program.ts',
    imports: [
      'accounting',
      'api',
      'base',
      'wire',
      'transport',
      'config',
      'certificates',
      'derp-map',
      'client',
      'service',
      'tailnet',
      'tools',
    ],
  },
  main: { what: 'argv → command; ends the process', imports: ['base', 'cli'] },
};
const folder = (name) => `^src/${name}(/|\\.ts$)`;
const inside = (name) => Object.keys(folders).filter((other) => other.startsWith(`${name}/`));
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { path: '^src', orphan: true, pathNot: ['^src/main\\.ts$', '\\.d\\.ts$'] },
      to: {},
    },
    {
      name: 'sockets-only-in-transport',
      comment:
        'Only the adapters and the HTTP client may use a socket API; everything else goes through transport/port.ts. Bun needs node:tls for what its own API lacks: contexts and certificate authorities.',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/transport/(node|bun|http)/' },
      to: { path: '^(node:)?(net|tls|https|dgram)$' },
    },
    {
      name: 'bun-only-in-transport-and-system',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/(transport/bun|system)/' },
      to: { path: '^bun($|:)' },
    },
    { name: 'src-not-to-test', severity: 'error', from: { path: '^src' }, to: { path: '^(test|bench|scripts)' } },
    ...Object.entries(folders).map(([name, { what, first, imports }]) => ({
      name: `folder-${name}`,
      comment: first === undefined ? what : `${what} | ${first}`,
      severity: 'error',
      from: { path: folder(name), pathNot: inside(name).map(folder) },
      to: { path: '^src/', pathNot: [name, ...imports].map(folder) },
    })),
    {
      name: 'every-file-in-a-folder',
      comment: 'A new folder of src/ gets a line in the table above.',
      severity: 'error',
      from: { path: '^src/', pathNot: Object.keys(folders).map(folder) },
      to: {},
    },
    {
      name: 'nobody-imports-cli-or-main',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/(cli/|main\\.ts$)' },
      to: { path: '^src/(cli/|main\\.ts$)' },
    },
    {
      name: 'relay-without-service',
      comment: 'A relay takes plain data, so that it runs in any thread and in a test.',
      severity: 'error',
      from: { path: '^src/relay/' },
      to: { path: '^src/(config|http|certificates|admission|service|tools)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
