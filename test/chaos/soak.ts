/**
 * Puts a modest load with faults on a relay for hours, and checks that nothing is lost or leaked and everything is counted.
 *
 *   npm run soak -- --hours 24 [--runtime node|bun] [--json FILE]
 *
 * Loopback only, on free ports. Ctrl-C ends it early, with the report so far. Exit code 1 when a check failed.
 */
import { Clock } from '../../src/base/clock.ts';
import { errorMessage } from '../../src/base/errors.ts';
import { addUp, type Check, compareRefusals, refusalsOf } from './soak-account.ts';
import { Ledger } from './soak-ledger.ts';
import { parseSoakOptions, SOAK_USAGE, type SoakOptions } from './soak-options.ts';
import { SoakRelay } from './soak-relay.ts';
import { printReport, Progress, trendChecks, trendsOf, writeFindings } from './soak-report.ts';
import { type Sample, SAMPLE_EVERY_MS, takeSample } from './soak-sampler.ts';
import { Scenario } from './soak-scenario.ts';
import { pause, World } from './soak-world.ts';

/** Descriptors that a runtime may open for itself, for example to read the state of its threads. */
const DESCRIPTOR_SLACK = 5;
/** Longer than any deadline of the relay, in milliseconds: after this time, all connections must be closed. */
const CALM_MS = 20_000;

async function soak(options: SoakOptions): Promise<boolean> {
  const clock = new Clock();
  clock.start();
  const relay = new SoakRelay(options.runtime);
  const ledger = new Ledger();
  const samples: Sample[] = [];
  const progress = new Progress();
  try {
    await relay.started();
    // The first answer loads modules and opens descriptors that later answers need.
    await relay.scrape();
    const before = relay.descriptors();
    console.log(`soak on ${options.runtime}, relay ${relay.child.pid}, ${before} descriptors, TLS port ${relay.port}`);
    const scenario = new Scenario(new World(relay, ledger, clock), options);
    const startedAtMs = performance.now();
    const stop = stopper(relay, ledger);
    await scenario.start();
    while (!stop.isAsked() && performance.now() - startedAtMs < options.durationMs) {
      try {
        const sample = await takeSample(relay, startedAtMs);
        samples.push(sample);
        progress.show(sample, ledger, options);
      } catch (error) {
        ledger.problem(`no sample: ${errorMessage(error)}`);
      }
      const leftMs = startedAtMs + options.durationMs - performance.now();
      await Promise.race([stop.asked, pause(Math.min(SAMPLE_EVERY_MS, Math.max(leftMs, 0)))]);
    }
    progress.end();
    const interrupted = stop.isAsked();
    const runSeconds = (performance.now() - startedAtMs) / 1000;
    await scenario.stop();
    const end = await lastLook(relay, ledger, before, stop.over);
    const checks = [...end.checks, ...trendChecks(trendsOf(samples, runSeconds))];
    const findings = {
      ...{ options, runSeconds, interrupted, samples, checks, ledger },
      ...{ counters: end.counters, relayOutput: relay.output },
    };
    const passed = printReport(findings);
    if (options.json !== null) writeFindings(options.json, findings, passed);
    return passed;
  } finally {
    await relay.clean();
    clock.stop();
  }
}

/** Checks the conditions and the counters after all clients have left. A relay that does not answer is a problem too. */
async function lastLook(
  relay: SoakRelay,
  ledger: Ledger,
  before: number,
  over: () => void,
): Promise<{ readonly checks: Check[]; readonly counters: Record<string, number> }> {
  const checks: Check[] = [];
  try {
    let after = relay.descriptors();
    for (let waited = 0; after > before && waited < CALM_MS; waited += 200) {
      await pause(200);
      after = relay.descriptors();
    }
    const detail = `${before} at the start, ${after} in the end`;
    checks.push({ what: 'descriptors come back', holds: after <= before + DESCRIPTOR_SLACK, detail });
    const metrics = await relay.scrape();
    checks.push(...addUp(metrics, ledger, relay.scrapes), ...compareRefusals(refusalsOf(metrics), ledger));
    over();
    const [code] = await relay.end();
    checks.push({ what: 'the relay ends with 0 when asked', holds: code === 0, detail: String(code) });
    const counted = [...metrics].filter(([name, value]) => name.startsWith('towpath_') && value !== 0);
    return { checks, counters: Object.fromEntries(counted) };
  } catch (error) {
    ledger.problem(`the relay cannot be looked at in the end: ${errorMessage(error)}`);
    return { checks, counters: {} };
  }
}

interface Stopper {
  readonly asked: Promise<void>;
  readonly isAsked: () => boolean;
  /** The relay may end now. */
  readonly over: () => void;
}

/** Ends the run at Ctrl-C, SIGTERM, or when the relay is no longer there. A second Ctrl-C ends at once. */
function stopper(relay: SoakRelay, ledger: Ledger): Stopper {
  let asked = false;
  let isOver = false;
  const promise = new Promise<void>((resolve) => {
    const stop = (): void => {
      if (asked) process.exit(130);
      asked = true;
      resolve();
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
    void relay.ended.then(([code, signal]) => {
      if (isOver) return;
      asked = true;
      ledger.problem(`the relay ended by itself: ${String(code)}, ${String(signal)}\n${relay.output.slice(-4000)}`);
      resolve();
    });
  });
  return { asked: promise, isAsked: () => asked, over: () => (isOver = true) };
}

let options: SoakOptions;
try {
  options = parseSoakOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${errorMessage(error)}\n${SOAK_USAGE}`);
  process.exit(2);
}
try {
  process.exitCode = (await soak(options)) ? 0 : 1;
} catch (error) {
  console.error(`soak: FAILED: ${errorMessage(error)}`);
  process.exitCode = 1;
}
