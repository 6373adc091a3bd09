// Who may import whom: docs/architecture.md, "Rooms". Each room lists all it may import besides itself.
const allowed = {
  wire: ['errors'],
  transport: ['errors', 'clock', 'wire'],
  net: ['transport', 'wire', 'clock', 'errors', 'observe'],
  observe: ['wire', 'clock', 'errors'],
  fairness: ['wire', 'clock', 'errors'],
  relay: ['wire', 'observe', 'errors', 'clock'],
  session: ['wire', 'net', 'transport', 'relay', 'fairness', 'admission', 'observe', 'clock', 'errors'],
  admission: ['wire', 'net', 'observe', 'clock', 'config', 'errors'],
  certificates: ['wire', 'net', 'observe', 'clock', 'config', 'errors'],
  http: ['wire', 'net', 'observe', 'clock', 'config', 'errors'],
  client: ['wire', 'transport', 'net', 'errors', 'clock'],
  config: ['wire', 'errors'],
  server: ['transport', 'net', 'session', 'relay', 'fairness', 'admission', 'certificates', 'http', 'observe', 'client', 'config', 'wire', 'clock', 'errors', 'version'],
  cli: ['server', 'client', 'config', 'certificates', 'wire', 'errors', 'observe', 'version', 'transport', 'net', 'clock'],
};
const room = (name) => `^src/${name}(/|\\.ts$)`;
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { path: '^src', orphan: true, pathNot: ['^src/main\\.ts$', '\\.d\\.ts$'] }, to: {} },
    {
      name: 'sockets-only-in-transport',
      comment: 'Only the Node adapter may use the runtime socket API; everything else goes through transport/port.ts.',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/transport/node/' },
      to: { path: '^(node:)?(net|tls|https|dgram)$' },
    },
    {
      name: 'bun-only-in-transport',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/transport/bun/' },
      to: { path: '^bun(:.*)?$' },
    },
    { name: 'src-not-to-test', severity: 'error', from: { path: '^src' }, to: { path: '^(test|bench|scripts)' } },
    ...Object.entries(allowed).map(([name, list]) => ({
      name: `room-${name}`,
      severity: 'error',
      from: { path: room(name) },
      to: { path: '^src/', pathNot: [name, ...list].map(room) },
    })),
    { name: 'nobody-imports-main', severity: 'error', from: { path: '^src' }, to: { path: '^src/main\\.ts$' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'], exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
