import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import { threadModule } from '../../base/thread-module.ts';
import { Arena } from '../../system/arena.ts';
import { SystemCallError } from '../../system/linux.ts';
import type { SystemCalls } from '../../system/port.ts';
import { Wake } from '../../system/wake.ts';
import { createDoorCounts, type DoorCounts } from './door-counts.ts';
import type { DoorPlace } from './door-places.ts';
import type { UdpDoor, UdpDoorListener, UdpDoorSettings } from './door.ts';
import type { UdpRelayLimits } from './limits.ts';
import type { Offload } from './offload.ts';
import type { StunQuery } from './stun-queries.ts';
import type { FailedCall, FromUdpThread, ToUdpThread, UdpThreadData } from './thread-messages.ts';

/** Time until a thread that ended by a bug is started again. */
const RESTART_MS = 1000;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The UDP door as a thread of its own that blocks in system calls. */
export class ThreadDoor implements UdpDoor {
  readonly how: string;
  readonly counts: DoorCounts = createDoorCounts();
  onSighting: UdpDoor['onSighting'] = () => undefined;
  #settings: UdpDoorSettings;
  readonly #listener: UdpDoorListener;
  readonly #module: URL;
  readonly #calls: SystemCalls;
  readonly #arena: Arena;
  readonly #wake: Wake;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onExit = (): void => void this.#wake.wake();
  #places: readonly DoorPlace[] = [];
  #port: MessagePort | null = null;
  #ended: Promise<void> = Promise.resolve();
  #restart: ReturnType<typeof setTimeout> | undefined;
  #offload: Offload;
  #isSilent = false;
  #isClosed = false;
  #lastId = 0;

  private constructor(calls: SystemCalls, settings: UdpDoorSettings, listener: UdpDoorListener, module: URL) {
    this.how = calls.adapter;
    this.#calls = calls;
    this.#settings = settings;
    this.#offload = settings.offload;
    this.#listener = listener;
    this.#module = module;
    this.#arena = new Arena(calls, 64);
    this.#wake = new Wake(calls, this.#arena);
    // A process waits for its threads at its end, and this one may block in a system call.
    process.on('exit', this.#onExit);
  }

  /**
   * Starts the thread and resolves once it listens. Rejects with a {@link SystemCallError} whose `place` says where it
   * cannot. `module` is what the thread runs, for tests.
   */
  static async open(
    calls: SystemCalls,
    settings: UdpDoorSettings,
    listener: UdpDoorListener,
    module: URL = threadModule('relay/udp/thread'),
  ): Promise<ThreadDoor> {
    const door = new ThreadDoor(calls, settings, listener, module);
    try {
      await door.#start(settings.places);
    } catch (error) {
      await door.close();
      throw error;
    }
    return door;
  }

  get places(): readonly DoorPlace[] {
    return this.#places;
  }

  command(message: unknown): Promise<unknown> {
    if (this.#isClosed || this.#port === null) return Promise.reject(new Error('the UDP door is closed'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#tell({ kind: 'command', id, message });
    });
  }

  setLimits(limits: UdpRelayLimits): void {
    const { rules } = this.#settings;
    if (rules === null) return;
    // A thread that is started after a crash has them too.
    this.#settings = { ...this.#settings, rules: { ...rules, limits } };
    this.#tell({ kind: 'command', id: ++this.#lastId, message: { kind: 'limits', limits } });
  }

  setSilent(isSilent: boolean): void {
    this.#isSilent = isSilent;
    this.#tell({ kind: 'silent', isSilent });
  }

  query(queries: readonly StunQuery[]): void {
    this.#tell({ kind: 'query', queries });
  }

  setOffload(offload: Offload): void {
    this.#offload = offload;
    this.#tell({ kind: 'offload', offload });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return this.#ended;
    this.#isClosed = true;
    clearTimeout(this.#restart);
    this.#tell({ kind: 'stop' });
    await this.#ended;
    process.off('exit', this.#onExit);
    for (const { fd } of this.#settings.places) if (fd !== undefined) this.#calls.close(fd);
    this.#wake.close();
    this.#arena.release();
  }

  #tell(message: ToUdpThread): void {
    this.#port?.postMessage(message);
    this.#wake.wake();
  }

  /** Starts the thread. Resolves when it listens. */
  async #start(places: readonly DoorPlace[]): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    const settings = { ...this.#settings, places, offload: this.#offload };
    const data: UdpThreadData = { settings, counts: this.counts, wakeFd: this.#wake.fd, port: port2 };
    const worker = new Worker(this.#module, { workerData: data, transferList: [port2] });
    let failure: Error | null = null;
    worker.once('error', (error: Error) => (failure = error));
    await new Promise<void>((resolve, reject) => {
      const take = (message: FromUdpThread): void => {
        if (message.kind === 'opened') {
          this.#places = message.places;
          this.#forgetState();
          this.#port = port1;
          if (this.#isSilent) this.setSilent(true);
          if (this.#isClosed) this.#tell({ kind: 'stop' });
          resolve();
        } else if (message.kind === 'refused' && message.isEnd) {
          reject(placed(message.place, message.failed));
        } else {
          this.#receive(message);
        }
      };
      port1.on('message', take);
      this.#ended = new Promise((ended) => {
        worker.once('exit', () => {
          // Its last messages may not be delivered yet.
          for (let last = lastMessage(port1); last !== null; last = lastMessage(port1)) take(last);
          port1.close();
          const error = failure ?? new Error('the UDP thread ended');
          reject(error);
          this.#gone(port1, error);
          ended();
        });
      });
    });
  }

  #receive(message: Exclude<FromUdpThread, { kind: 'opened' }>): void {
    if (message.kind === 'answer') {
      this.#waiting.get(message.id)?.resolve(message.answer);
      this.#waiting.delete(message.id);
    } else if (message.kind === 'sighting') {
      this.onSighting(message.sighting);
    } else if (message.kind === 'reopened') {
      this.#listener.reopened(message.place, message.failed === null ? null : placed(message.place, message.failed));
    } else if (message.kind === 'lost') {
      this.#listener.lost(message.place, placed(message.place, message.failed));
    } else {
      this.#listener.skipped(message.place, placed(message.place, message.failed));
    }
  }

  /**
   * Forgets the state of an earlier process: only the first thread uses it. A later one would give old Lamport ids
   * again.
   */
  #forgetState(): void {
    const { rules } = this.#settings;
    if (rules !== null) this.#settings = { ...this.#settings, rules: { ...rules, state: null, stateAgeMs: 0 } };
  }

  /** Handles the end of the thread. Another one is started, unless the door was closed. */
  #gone(port: MessagePort, error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    const wasOpen = this.#port === port;
    this.#port = null;
    if (this.#isClosed || !wasOpen) return;
    this.#listener.crashed(error);
    this.#startLater();
  }

  #startLater(): void {
    this.#restart = setTimeout(() => {
      this.#start(this.#places).catch((error: unknown) => {
        if (this.#isClosed) return;
        this.#listener.crashed(error instanceof Error ? error : new Error(String(error)));
        this.#startLater();
      });
    }, RESTART_MS).unref();
  }
}

/** Why a place cannot be listened on: a {@link SystemCallError} that also says where. */
interface PlacedError extends SystemCallError {
  readonly place: DoorPlace;
}

function placed(place: DoorPlace, { call, errno }: FailedCall): PlacedError {
  return Object.assign(new SystemCallError(call, errno), { place });
}

function lastMessage(port: MessagePort): FromUdpThread | null {
  const received = receiveMessageOnPort(port) as { message: FromUdpThread } | undefined;
  return received?.message ?? null;
}
