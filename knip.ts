import type { KnipConfig } from 'knip';

const config: KnipConfig = {
  // "!" marks what ships. A run with --production then finds what only tests, benchmarks and scripts use.
  entry: [
    'src/start-relay.ts!',
    'src/tools/load/worker.ts!',
    'src/relay/udp/thread.ts!',
    'test/**/*.test.ts',
    'examples/*.test.ts',
    'test/chaos/*.ts',
    'test/fuzz/decoders.ts',
    'test/system/*.ts',
    'test/relay/udp/*-thread.ts',
    'test/interop/**/*.ts',
    'test/packages/*.ts',
    'bench/*.ts',
    'bench/udp/{flood,generate,traffic}.ts',
    'bench/preload/*.ts',
    'scripts/**/*.ts',
  ],
  project: ['src/**/*.ts!', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts', 'examples/**/*.ts'],
  // A part that its own file uses may be exported for its test.
  ignoreExportsUsedInFile: process.argv.includes('--production'),
  ignoreBinaries: [
    'caddy',
    'dpkg',
    'dpkg-deb',
    'fish',
    'gcc',
    'haproxy',
    'ip',
    'mkfifo',
    'nginx',
    'openssl',
    'pebble',
    'pebble-challtestsrv',
    'perl',
    'prlimit',
    'systemd-notify',
    'taskset',
    'tc',
    'unshare',
  ],
};
export default config;
