/**
 * Loaded before the relay (`node --import`): SIGUSR2 starts a CPU profile, a second one ends it and writes it to the
 * file that BENCH_PROFILE names.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';

const INTERVAL_US = 250;

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });

process.once('SIGUSR2', () => {
  process.once('SIGUSR2', write);
  session.post('Profiler.start');
});

function write(): void {
  const file = process.env['BENCH_PROFILE'] ?? 'relay.cpuprofile';
  session.post('Profiler.stop', (error, result) => {
    writeFileSync(`${file}.new`, JSON.stringify(error === null ? result.profile : { error: String(error) }));
    renameSync(`${file}.new`, file);
  });
}
