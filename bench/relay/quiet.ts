import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FOREIGN_SHARE } from './case.ts';

const SAMPLE_MS = 300;
const PAUSE_MS = 2000;
/** Unit of CPU times of the kernel. */
const TICKS_PER_SECOND = 100;

/**
 * Waits until no other program uses this machine, at most `patienceMs`. Returns the waiting time in milliseconds. If the machine
 * stays busy, the measurement finds this itself and marks its result.
 */
export async function awaitQuiet(patienceMs: number): Promise<number> {
  const started = performance.now();
  const waited = (): number => performance.now() - started;
  while (waited() < patienceMs && (await busyShare()) > FOREIGN_SHARE) await sleep(PAUSE_MS);
  return waited();
}

/** Returns the CPU use of all processes, as part of one CPU. */
async function busyShare(): Promise<number> {
  const [before, started] = [busySeconds(), performance.now()];
  await sleep(SAMPLE_MS);
  return (busySeconds() - before) / ((performance.now() - started) / 1000);
}

function busySeconds(): number {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  // user nice system idle iowait irq softirq steal; guest time is part of user.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = first.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}
