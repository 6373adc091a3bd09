import { Clock } from '../../base/clock.ts';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import type { Transport } from '../../transport/port.ts';
import { GeneratorMeter } from './generator-meter.ts';
import { HeldConnections } from './held-connections.ts';
import { Histogram } from './histogram.ts';
import {
  addPackets,
  noPackets,
  type ClassSample,
  type FromWorker,
  type SentHistogram,
  type ToWorker,
} from './messages.ts';
import { Opener } from './opener.ts';
import { Pair, sendQueueBytes } from './pair.ts';
import { PacketShape } from './payload.ts';
import { CLASSES, type ClassName, type PairGroup, type WorkerPlan } from './plan.ts';
import { StalledReceivers } from './stalled-receivers.ts';

/** How often a full window is given up when no packet arrives. */
const UNSTALL_MS = 250;
/** No more packets are expected when none has arrived for this long. */
const QUIET_MS = 500;
const RECEIVER_QUEUE_BYTES = 4096;

/** The work of one worker: it opens its connections, sends and checks packets, and sends samples to the coordinator. */
export class Engine {
  readonly #plan: WorkerPlan;
  readonly #post: (message: FromWorker) => void;
  readonly #clock = new Clock();
  readonly #opener: Opener;
  readonly #pairs: Pair[] = [];
  readonly #latency = new Map<ClassName, Histogram>();
  readonly #held: HeldConnections | null;
  readonly #stalled: StalledReceivers | null;
  readonly #meter: GeneratorMeter;
  #startMs = 0;
  #phase: 'opening' | 'running' | 'stopping' | 'over' = 'opening';
  #sampleTimer: NodeJS.Timeout | undefined;
  #turnTimer: NodeJS.Timeout | undefined;
  #hasMoreToSend = false;
  #unstallTimer: NodeJS.Timeout | undefined;
  #samples = 0;
  readonly #stopped = Promise.withResolvers<undefined>();

  /** `post` sends a message to the coordinator. */
  constructor(plan: WorkerPlan, transport: Transport, post: (message: FromWorker) => void) {
    this.#plan = plan;
    this.#post = post;
    this.#opener = new Opener(plan, transport);
    this.#meter = new GeneratorMeter(plan.workers);
    const { connections, stalled, handshakesAtOnce } = plan;
    this.#held =
      connections === null ? null : new HeldConnections(connections, this.#opener, this.#clock, handshakesAtOnce);
    this.#stalled = stalled === null ? null : new StalledReceivers(plan, stalled, this.#opener, this.#clock);
    this.#clock.start();
    for (const { className } of plan.groups) this.#latency.set(className, new Histogram());
  }

  /** Does everything, up to the last message. Never rejects. */
  async run(): Promise<void> {
    try {
      await this.#open();
      this.#post({ kind: 'ready', worker: this.#plan.worker });
      await this.#stopped.promise;
      await this.#drain();
      this.#finish();
    } catch (error) {
      this.#fail(error);
    }
    this.#end();
  }

  /** Takes a message of the coordinator. */
  receive(message: ToWorker): void {
    if (message.kind === 'stop') this.#stop();
    else this.#begin();
  }

  async #open(): Promise<void> {
    let number = this.#plan.firstPair;
    for (const group of this.#plan.groups) {
      const first = number;
      number += group.pairs;
      await this.#opener.each(group.pairs, async (index) => {
        this.#pairs.push(await this.#openPair(group, index, first + index));
        this.#progress();
      });
    }
    await this.#stalled?.open(() => this.#progress());
  }

  #progress(): void {
    this.#post({ kind: 'opening', worker: this.#plan.worker, opened: this.#opener.counts.opened });
  }

  async #openPair(group: PairGroup, index: number, number: number): Promise<Pair> {
    const { coalesce, run } = this.#plan;
    const receiver = await this.#opener.open(this.#clock, RECEIVER_QUEUE_BYTES);
    const sender = await this.#opener.open(this.#clock, sendQueueBytes(group.packetBytes, coalesce));
    return new Pair({
      className: group.className,
      sender,
      receiver,
      shape: new PacketShape(group.packetBytes, run, number),
      sending: group.sending,
      coalesce,
      phase: (index + this.#plan.worker / this.#plan.workers) / group.pairs,
      latency: this.#latency.get(group.className)!,
      closed: (error) => this.#opener.disconnected(error),
      wantsToSendMore: () => this.#sendAgainSoon(),
    });
  }

  #begin(): void {
    if (this.#phase !== 'opening') return;
    this.#phase = 'running';
    this.#startMs = performance.now();
    this.#meter.cpuShare();
    this.#meter.lag.clear();
    for (const pair of this.#pairs) pair.begin(this.#startMs);
    this.#stalled?.begin(this.#startMs);
    this.#held?.begin();
    this.#sampleTimer = setTimeout(() => this.#sample(), this.#plan.sampleMs);
    this.#unstallTimer = setInterval(() => {
      for (const pair of this.#pairs) pair.unstall();
    }, UNSTALL_MS);
    this.#turn();
  }

  /** Lets every pair send. Repeats after a millisecond, or at once when a pair has more to send. */
  readonly #turn = (): void => {
    if (this.#phase !== 'running') return;
    this.#hasMoreToSend = false;
    this.#turnTimer = setTimeout(this.#turn, 1);
    const nowMs = performance.now();
    for (const pair of this.#pairs) pair.pump(nowMs);
    this.#stalled?.feed(nowMs);
  };

  #sendAgainSoon(): void {
    if (this.#hasMoreToSend) return;
    this.#hasMoreToSend = true;
    clearTimeout(this.#turnTimer);
    setImmediate(this.#turn);
  }

  #sample(): void {
    const { warmUpMs, sampleMs } = this.#plan;
    const measured = this.#samples * sampleMs >= warmUpMs;
    this.#samples++;
    if (this.#samples * sampleMs === warmUpMs) for (const pair of this.#pairs) pair.measure();
    this.#postSample(measured, false);
    if (this.#phase !== 'running') return;
    const nextAtMs = this.#startMs + (this.#samples + 1) * sampleMs;
    this.#sampleTimer = setTimeout(() => this.#sample(), Math.max(1, nextAtMs - performance.now()));
  }

  #postSample(measured: boolean, last: boolean): void {
    const sums = new Map(CLASSES.map((className) => [className, noPackets()]));
    for (const pair of this.#pairs) addPackets(sums.get(pair.className)!, pair.counts);
    const classes = [...this.#latency].map(([className, latency]): ClassSample => {
      return { className, counts: sums.get(className)!, latency: taken(latency) };
    });
    this.#post({
      kind: 'sample',
      worker: this.#plan.worker,
      measured,
      last,
      classes,
      openPairs: this.#pairs.filter((pair) => pair.isOpen).length,
      connections: { ...this.#opener.counts },
      logins: taken(this.#opener.durations),
      pings: taken(this.#held?.pings ?? new Histogram()),
      lag: taken(this.#meter.lag),
      cpuShare: this.#meter.cpuShare(),
    });
  }

  #stop(): void {
    if (this.#phase === 'over' || this.#phase === 'stopping') return;
    this.#phase = 'stopping';
    this.#opener.stop();
    clearTimeout(this.#sampleTimer);
    for (const pair of this.#pairs) pair.stop();
    this.#stalled?.stop();
    this.#held?.stop();
    this.#stopped.resolve(undefined);
  }

  /** Waits for packets in flight, until all have arrived, none has come for {@link QUIET_MS}, or the time is over. */
  async #drain(): Promise<void> {
    const startedMs = performance.now();
    let delivered = -1;
    let changedMs = startedMs;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const nowMs = performance.now();
        const sum = this.#pairs.reduce((total, pair) => total + pair.counts.delivered, 0);
        if (sum !== delivered) changedMs = nowMs;
        delivered = sum;
        const isQuiet = this.#pairs.every((pair) => pair.isQuiet) || nowMs - changedMs > QUIET_MS;
        if (!isQuiet && nowMs - startedMs < this.#plan.drainMs) return;
        clearInterval(timer);
        resolve();
      }, 20);
    });
  }

  #finish(): void {
    // Packets that come this late have the longest latencies, so they count.
    this.#postSample(this.#samples * this.#plan.sampleMs >= this.#plan.warmUpMs, true);
    this.#post({
      kind: 'done',
      worker: this.#plan.worker,
      pairs: this.#pairs.map((pair) => pair.result()),
      connectionErrors: this.#opener.connectionErrors.list,
      announcedBytesPerSecond: this.#opener.announcedBytesPerSecond,
    });
  }

  #fail(error: unknown): void {
    const { worker } = this.#plan;
    const code = error instanceof TowpathError ? error.code : 'TOWPATH_LOAD';
    const hint = error instanceof TowpathError ? (error.hint ?? '') : '';
    this.#post({ kind: 'failed', worker, code, message: errorMessage(error), hint });
  }

  #end(): void {
    this.#phase = 'over';
    clearTimeout(this.#sampleTimer);
    clearTimeout(this.#turnTimer);
    clearInterval(this.#unstallTimer);
    this.#meter.stop();
    this.#clock.stop();
    for (const pair of this.#pairs) pair.abort();
    this.#stalled?.abort();
    this.#held?.abort();
  }
}

/** Returns the counts of a histogram and clears it. */
function taken(histogram: Histogram): SentHistogram {
  const sent = { counts: histogram.counts.slice(), max: histogram.max };
  histogram.clear();
  return sent;
}
