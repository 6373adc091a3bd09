import type { Arena } from '../../system/arena.ts';
import { SystemCallError } from '../../system/linux.ts';
import type { SystemCalls } from '../../system/port.ts';
import { UdpOpener } from '../../system/udp-opener.ts';
import { DoorCount, type DoorCounts } from './door-counts.ts';
import type { DoorPlace } from './door-places.ts';
import type { Offload } from './offload.ts';
import { Outgoing } from './outgoing.ts';

/** Receives the events of the door's sockets, outside the data path. */
export interface DoorSocketsListener {
  /** A socket was lost. It is opened again, with as many attempts as needed. */
  lost(place: DoorPlace, error: SystemCallError): void;
  /** Opening it again failed; null: it worked. Called at the first failure and when it works again. */
  reopened(place: DoorPlace, error: SystemCallError | null): void;
}

/**
 * Size of each buffer of a socket in the kernel, in bytes (upstream's value). Above net.core.rmem_max it needs a
 * privilege.
 */
const BUFFER_BYTES = 7 * 1024 * 1024;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;
/** Sockets of one door: eight ports on both families. */
export const MAX_DOOR_SOCKETS = 16;

/** One socket of the door. Its number never changes, also when another descriptor takes its place. */
export class DoorSocket {
  readonly index: number;
  readonly outgoing: Outgoing;
  place: DoorPlace;
  isInet: boolean;
  /** True: an IPv6 socket that takes IPv4, too. */
  isDual = false;
  fd = -1;
  /** Datagrams that the kernel has dropped, by its last report. It starts again with each descriptor. */
  overflows = 0;
  retryAt = 0;
  waitMs: number = FIRST_WAIT_MS;
  isTroubled = false;

  constructor(index: number, place: DoorPlace, outgoing: Outgoing) {
    this.index = index;
    this.place = place;
    this.isInet = !place.ip.includes(':');
    this.outgoing = outgoing;
  }

  /** Returns whether it sends to addresses of a family. */
  takes(isInet: boolean): boolean {
    return this.isDual || this.isInet === isInet;
  }
}

/** The sockets of the door: opened once, and again whenever one of them fails. */
export class DoorSockets {
  readonly all: DoorSocket[] = [];
  /** Counts up whenever a descriptor changes. */
  version = 0;
  /** Number of sockets that wait to be opened again. */
  closed = 0;
  readonly #calls: SystemCalls;
  readonly #arena: Arena;
  readonly #opener: UdpOpener;
  readonly #counts: DoorCounts;
  readonly #listener: DoorSocketsListener;
  #offload: Offload;

  constructor(calls: SystemCalls, arena: Arena, counts: DoorCounts, offload: Offload, listener: DoorSocketsListener) {
    this.#calls = calls;
    this.#arena = arena;
    this.#counts = counts;
    this.#offload = offload;
    this.#listener = listener;
    this.#opener = new UdpOpener(calls, arena);
  }

  /** Bytes of the arena that it takes at most. */
  static readonly arenaBytes: number = UdpOpener.arenaBytes + MAX_DOOR_SOCKETS * Outgoing.arenaBytes;

  /** Where it listens, with real ports. */
  *places(): Generator<DoorPlace> {
    for (const { place } of this.all) yield place;
  }

  /** Opens one more socket and returns it. Throws a {@link SystemCallError}; the others stay. */
  add(place: DoorPlace): DoorSocket {
    const outgoing = new Outgoing(this.#calls, this.#arena, this.#counts, this.#offload);
    const socket = new DoorSocket(this.all.length, place, outgoing);
    this.#open(socket);
    this.all.push(socket);
    return socket;
  }

  /** Changes the offload. A change of `gro` opens the sockets again. */
  setOffload(offload: Offload, now: number): void {
    const hasChanged = offload.gro !== this.#offload.gro;
    this.#offload = offload;
    for (const socket of this.all) {
      socket.outgoing.offload = offload;
      if (!hasChanged) continue;
      this.#close(socket);
      socket.retryAt = now;
    }
    if (hasChanged) this.reopenDue(now);
  }

  /** A call on a socket failed in a way that it cannot recover from: closes it, to be opened again. */
  fail(socket: DoorSocket, error: SystemCallError, now: number): void {
    this.#counts[DoorCount.socketErrors]! += 1;
    this.#close(socket);
    socket.waitMs = FIRST_WAIT_MS;
    socket.retryAt = now;
    if (!socket.isTroubled) this.#listener.lost(socket.place, error);
    socket.isTroubled = true;
    this.reopenDue(now);
  }

  /** To be called about once a second, with the time in milliseconds. */
  tick(now: number): void {
    for (const socket of this.all) socket.outgoing.now = now;
    if (this.closed > 0) this.reopenDue(now);
  }

  /** Opens what is due to be opened again. */
  reopenDue(now: number): void {
    for (const socket of this.all) {
      if (socket.fd >= 0 || socket.retryAt > now) continue;
      try {
        this.#open(socket);
        this.closed -= 1;
        this.#counts[DoorCount.socketsReopened]! += 1;
        if (socket.isTroubled) this.#listener.reopened(socket.place, null);
        socket.isTroubled = false;
        socket.waitMs = FIRST_WAIT_MS;
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        if (socket.waitMs === FIRST_WAIT_MS) this.#listener.reopened(socket.place, error);
        socket.isTroubled = true;
        socket.retryAt = now + socket.waitMs;
        socket.waitMs = Math.min(socket.waitMs * 2, LONGEST_WAIT_MS);
      }
    }
  }

  /** Returns the time until a socket must be opened again, at most `otherwise`, in milliseconds. */
  untilDue(now: number, otherwise: number): number {
    let wait = otherwise;
    for (const socket of this.all) {
      if (socket.fd < 0) wait = Math.min(wait, Math.max(socket.retryAt - now, 1));
    }
    return Math.ceil(wait);
  }

  close(): void {
    for (const socket of this.all) this.#close(socket);
  }

  #open(socket: DoorSocket): void {
    const { place } = socket;
    const options = { bufferBytes: BUFFER_BYTES, gro: this.#offload.gro };
    const opened =
      place.fd === undefined ? this.#opener.open({ ...place, ...options }) : this.#opener.adopt(place.fd, options);
    socket.fd = opened.fd;
    socket.isInet = opened.isInet;
    socket.isDual = opened.isDual;
    socket.place = { ...place, ip: opened.ip, port: opened.port };
    socket.overflows = 0;
    socket.outgoing.use({ fd: opened.fd, hasGso: opened.hasGso });
    this.version++;
  }

  #close(socket: DoorSocket): void {
    if (socket.fd < 0) return;
    // An inherited socket cannot be opened again. Its descriptor belongs to the other side of the door.
    if (socket.place.fd === undefined) this.#calls.close(socket.fd);
    socket.fd = -1;
    this.closed += 1;
    socket.outgoing.use({ fd: -1, hasGso: false });
    this.version++;
  }
}
