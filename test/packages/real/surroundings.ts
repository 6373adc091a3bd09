import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { Headscale } from '../../interop/peer-relay/headscale.ts';
import { Network } from '../../interop/peer-relay/network.ts';
import { Tailnet } from './tailnet.ts';
import type { Transcript } from './transcript.ts';

/** The command of a client that Headscale does not know. */
const STRANGER = ['load', 'latency', 'https://127.0.0.1/derp', '--insecure', '--duration', '1'];

/** Metrics at the default admin listener of both packages. */
const METRICS = 'http://127.0.0.1:9090/metrics';

/** The real programs that the tests use. */
export interface RealPrograms {
  readonly headscale: string;
  /** A folder with `tailscale` and `tailscaled`. */
  readonly tailscale: string;
}

/** The surroundings of an installed package: a network with a Headscale, and a folder. */
export class Surroundings {
  readonly network: Network;
  readonly folder: string;
  readonly transcript: Transcript;
  readonly #programs: RealPrograms;
  readonly #ends: (() => unknown)[] = [];
  #control: Headscale | null = null;
  #tailnet: Tailnet | null = null;

  private constructor(transcript: Transcript, programs: RealPrograms) {
    this.transcript = transcript;
    this.#programs = programs;
    this.folder = mkdtempSync('/tmp/tpt-');
    this.atEnd(() => rmSync(this.folder, { recursive: true, force: true }));
    this.network = new Network();
    this.atEnd(() => this.network.remove());
  }

  /** Makes the surroundings, calls `use`, and removes them. */
  static async with(
    transcript: Transcript,
    programs: RealPrograms,
    use: (surroundings: Surroundings) => Promise<void>,
  ): Promise<void> {
    const surroundings = new Surroundings(transcript, programs);
    try {
      const control = await Headscale.start(surroundings.network, programs.headscale, surroundings.folder);
      surroundings.atEnd(() => control.program.stop());
      surroundings.#control = control;
      await use(surroundings);
    } finally {
      for (const end of surroundings.#ends.toReversed()) await end();
    }
  }

  /** Calls `end` when the surroundings are removed, the last one first. */
  atEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  /**
   * Two tailscaled join, and communicate through the relay in the hub; a stranger is refused. `run` runs a command of towpath
   * on the machine of the relay; `prompt` is its name in the transcript.
   */
  async talk(prompt: string, run: (argv: readonly string[]) => string): Promise<void> {
    this.#tailnet = await Tailnet.join(this.network, this.#control!, this.#programs.tailscale, this.folder);
    const tailnet = this.#tailnet;
    this.atEnd(() => tailnet.stop());
    await this.ping();
    this.transcript.say(`a$ download from b: ${await tailnet.download()}`);
    const refused = run(STRANGER);
    assert.match(refused, /not_admitted|refused|admit/i, 'a stranger may not use the relay');
    this.transcript.command(`${prompt} ${STRANGER.join(' ')}`, refused);
    this.#checkAdmission();
  }

  /** Headscale was asked: it admitted both nodes, and did not know the stranger. */
  #checkAdmission(): void {
    const metrics = this.network.run('hub', 'curl', '-sf', METRICS);
    const counted = (metrics.match(/^towpath_admission_(?:admits|refusals)_total\{.*$/gm) ?? []).join('\n');
    this.transcript.command(`# curl ${METRICS} | grep admission`, counted);
    const admits = /^towpath_admission_admits_total\{source="headscale"\} (\d+)$/m.exec(counted)?.[1];
    assert.ok(Number(admits) >= 2, `${admits} connections admitted by Headscale`);
    assert.match(counted, /^towpath_admission_refusals_total\{source="headscale",.*\} [1-9]/m);
  }

  /** The two nodes reach each other over DERP. */
  async ping(): Promise<void> {
    this.transcript.say(`a$ tailscale ping b: ${await this.#tailnet!.ping()}`);
  }

  /** Replaces the relay while the two nodes send messages; the longest time without a message may be `mostMs`. */
  async replace(mostMs: number, change: () => void | Promise<void>): Promise<void> {
    const gap = await this.#tailnet!.longestGap(change);
    const shown = gap === 0 ? 'below 50' : Math.round(gap);
    this.transcript.say(
      `longest time without a message during the replacement, of one each 10 ms: ${shown} ms; the next ones arrived`,
    );
    assert.ok(gap < mostMs, `${gap} ms`);
  }
}
