/**
 * The checks of `towpath doctor`, one file for each subject: the machine, the listeners, the DERP map, admission, what is seen
 * from outside. This file runs them in order; `check.ts` is what each of them returns.
 */
import { withPreamble } from '../../transport/shared/with-preamble.ts';
import { encodeProxyHeader } from '../../wire/proxy-header.ts';
import { addressChecks } from './addresses.ts';
import { admissionChecks } from './admission.ts';
import { check, type Check, type Section } from './check.ts';
import { derpMapChecks } from './derp-map.ts';
import { listenerChecks, readinessChecks } from './listeners.ts';
import {
  clockCheck,
  fileLimitCheck,
  kernelCheck,
  proxyVariableChecks,
  timeServiceCheck,
  versionCheck,
} from './machine.ts';
import { meshChecks } from './mesh.ts';
import { outsideChecks, outsideTargets } from './outside.ts';
import { peerRelayChecks } from './peer-relay.ts';
import type { DoctorOptions, ExaminedRelay, Findings } from './examined-relay.ts';
import { speaksProxyProtocol } from './proxy.ts';
import { advertisedCheck, certificateCheck, configCheck, configWarnings, keyFileCheck } from './setup.ts';

const LOOPBACK = '127.0.0.1';

/** Checks a relay from its own machine and as clients do, and says what is wrong. Never rejects because a check failed. */
export async function examine(options: DoctorOptions): Promise<Section[]> {
  const examination = new Examination(options);
  await examination.run();
  return examination.sections;
}

class Examination {
  readonly sections: Section[] = [];
  readonly #options: DoctorOptions;
  readonly #startedAt: number = performance.now();
  #isOver = false;
  readonly #findings: Findings = { relay: null, served: null, chain: [], seenIps: [] };

  constructor(options: DoctorOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const examined = await this.#setUp();
    if (examined === null) {
      await this.#section('This machine', () => Promise.resolve([kernelCheck(), timeServiceCheck()]));
      return;
    }
    const { config, map } = examined;
    await this.#section('Ports of this machine', async () => {
      const [ports, readiness] = await Promise.all([
        listenerChecks(examined, this.#findings),
        readinessChecks(examined),
      ]);
      return this.#findings.relay === 'none' ? withoutEchoes([...ports, ...readiness]) : [...ports, ...readiness];
    });
    await this.#section('This machine', () => this.#machine(examined));
    await this.#section('Name and addresses', () => addressChecks(examined, this.#findings));
    if (map !== null) {
      await this.#section('DERP map', () => Promise.resolve(derpMapChecks(map, examined, this.#findings)));
    }
    // If the relay is not running, every client fails in the same way; check from outside only if the user gave a URL or a map.
    const isAsked = this.#options.outside.length > 0 || map !== null;
    const targets = this.#findings.relay === 'none' && !isAsked ? [] : outsideTargets(examined, this.#findings);
    for (const target of targets) {
      await this.#section(`As clients reach it: ${target.relay?.url ?? target.host}`, () =>
        outsideChecks(examined, target),
      );
    }
    if (config.mesh.with.length > 0) {
      await this.#section('Other relays of the region', () => meshChecks(examined));
    }
    if (config.peerRelay.tailnets.length > 0) {
      await this.#section('Peer relay', () => peerRelayChecks(examined));
    }
    if (config.admission.sources.length > 0 || examined.nodeKey !== null) {
      await this.#section('Admission', () => admissionChecks(examined));
    }
  }

  /** The checks that need no network; null when the configuration is wrong. */
  async #setUp(): Promise<ExaminedRelay | null> {
    let examined: ExaminedRelay | null = null;
    await this.#section('Set-up', () => {
      const { loaded, checks } = configCheck(this.#options.load);
      const { transport } = this.#options;
      const version = versionCheck(transport);
      if (loaded === null) return Promise.resolve([version, ...checks]);
      const { config } = loaded;
      const key = keyFileCheck(config.keyFile);
      const certificate = certificateCheck(config);
      const local = speaksProxyProtocol(config, LOOPBACK)
        ? withPreamble(transport, encodeProxyHeader(null))
        : transport;
      examined = { ...this.#options, config, local, publicKey: key.publicKey, stored: certificate.stored };
      const warnings = [...configWarnings(config), ...advertisedCheck(config)];
      return Promise.resolve([version, ...checks, ...warnings, key.check, ...certificate.checks]);
    });
    return examined;
  }

  async #machine({ config, timeoutMs }: ExaminedRelay): Promise<Check[]> {
    return [
      fileLimitCheck(config, this.#findings.relay),
      kernelCheck(),
      await clockCheck(config, timeoutMs),
      timeServiceCheck(),
      ...proxyVariableChecks(),
    ];
  }

  /** The result of `work`, or a failed check when the time for all checks is over; `work` is then no longer waited for. */
  async #inTime(title: string, work: Promise<Check[]>): Promise<Check[]> {
    const { totalMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<Check[]>((resolve) => {
      const late = (): void => {
        this.#isOver = true;
        const text = `the time limit of ${totalMs / 1000} s for all checks was over during "${title}"; the checks after it did not run`;
        resolve([
          check('total-time', 'failed', text, {
            fix: 'Fix what failed above, or allow more time with --total-timeout.',
          }),
        ]);
      };
      timer = setTimeout(late, Math.max(this.#startedAt + totalMs - performance.now(), 0));
    });
    try {
      return await Promise.race([work, over]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #section(title: string, work: () => Promise<Check[]>): Promise<void> {
    if (this.#isOver) return;
    this.#options.onStart?.(title);
    const checks = await this.#inTime(title, work());
    const section = {
      title,
      checks: checks.length > 0 ? checks : [check('derp-port', 'skipped', 'nothing to check')],
    };
    this.sections.push(section);
    this.#options.onSection?.(section);
  }
}

/** When the relay does not run, its other ports do not answer either; this is reported once. */
function withoutEchoes(checks: readonly Check[]): Check[] {
  return checks.map((found) => {
    const isEcho = found.status === 'failed' && found.step !== 'derp-port' && found.text.startsWith('nothing listens');
    return isEcho ? { ...found, status: 'skipped', text: 'the relay is not running', fix: null } : found;
  });
}
