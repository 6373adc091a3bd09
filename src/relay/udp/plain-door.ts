import type { Clock } from '../../base/clock.ts';
import { formatIp } from '../../base/ip-address.ts';
import { PrefixSet } from '../../base/ip-prefix.ts';
import { EventSummary } from '../../observe/event-summary.ts';
import type { DatagramHandler, DatagramSocket, Transport } from '../../transport/port.ts';
import { encodeBindingRequest, MAX_STUN_RESPONSE_BYTES } from '../../wire/stun.ts';
import { AddressSockets, type AddressSocketsParts } from './address-sockets.ts';
import { createDoorCounts, DoorCount, type DoorCounts } from './door-counts.ts';
import { isInheritedPort, type DoorPlace } from './door-places.ts';
import type { UdpDoor, UdpDoorListener, UdpDoorSettings } from './door.ts';
import type { UdpRelayLimits } from './limits.ts';
import {
  ADDRESS_WORDS,
  SIDE_WORDS,
  SideWord,
  Verdict,
  type Arrival,
  type DatagramRules,
  type MakeDatagramRules,
} from './port.ts';
import type { UdpRelaySettings } from './rules.ts';
import { ipBytesOf, isIpv6, portOf, sameAddress, writeAddress } from './side-address.ts';
import { StunQueries, type StunQuery } from './stun-queries.ts';
import { looksLikeStun, StunAnswers } from './stun-answers.ts';
import type { EventLog } from '../../base/event-log.ts';

const TICK_MS = 1000;
/** Most numbers of local addresses. A machine has far fewer, but they may change for years. */
const MAX_NUMBERS = 4096;
/** A side that has not found its socket yet. */
const NO_SOCKET = -1;

/** Parts that the door needs. */
export interface PlainDoorParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly makeRules: MakeDatagramRules<UdpRelaySettings | null>;
  readonly listener: UdpDoorListener;
  readonly log: EventLog<'debug' | 'info' | 'warn'>;
  /** Returns the addresses of this machine. For tests. */
  readonly addresses?: AddressSocketsParts['addresses'];
}

/** The address of a side as the runtime's sockets take it. */
interface SideText {
  readonly words: Int32Array;
  readonly ip: string;
  readonly port: number;
}

/**
 * The UDP door by the runtime's own datagram sockets, for machines without system calls: one socket on each address, so
 * that replies leave from the one that was asked. It runs in the thread that opens it and costs several times as much.
 */
export class PlainDoor implements UdpDoor, DatagramHandler, Arrival {
  readonly how = 'datagrams';
  readonly counts: DoorCounts = createDoorCounts();
  onSighting: UdpDoor['onSighting'] = () => undefined;
  // The present datagram, as the rules see it (arrival).
  bytes: Buffer = Buffer.alloc(0);
  from = 0;
  to = 0;
  readonly segment = 0;
  readonly words: Int32Array = new Int32Array(ADDRESS_WORDS);
  readonly source = 0;
  now: number;
  readonly #parts: PlainDoorParts;
  readonly #rules: DatagramRules;
  readonly #stun: StunAnswers;
  readonly #queries = new StunQueries();
  readonly #response: Buffer = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  readonly #reply: Buffer;
  readonly #bound: AddressSockets[] = [];
  /** Where each of them listens, with the real port. */
  readonly #places: DoorPlace[] = [];
  /** The socket of each local address that has received a datagram, by number. */
  readonly #sockets: DatagramSocket[] = [];
  readonly #numbers = new Map<string, number>();
  /** The ports to listen on: sides of an earlier process are restored before the sockets are bound. */
  readonly #ports: ReadonlySet<number>;
  readonly #socketErrors: EventSummary;
  /** The ports for the log. The runtime does not say which socket an error is of. */
  readonly #where: string;
  readonly #texts: (SideText | undefined)[] = [];
  readonly #local: Int32Array = new Int32Array(ADDRESS_WORDS);
  #socket: DatagramSocket | null = null;
  #tickedAt: number;
  #isClosed = false;
  #stopTicking: () => void = () => undefined;

  private constructor(settings: UdpDoorSettings, parts: PlainDoorParts) {
    this.#parts = parts;
    const { clock, log } = parts;
    this.#socketErrors = new EventSummary({ clock, log, verb: 'reported', noun: 'UDP socket error', level: 'warn' });
    this.now = clock.now;
    this.#tickedAt = this.now;
    this.#ports = new Set(settings.places.map(({ port }) => port));
    this.#where = `UDP port ${[...this.#ports].join(' or ')}`;
    const memory = new Int32Array(2 * settings.endpoints * SIDE_WORDS);
    const places = { locate: (sides: Int32Array, side: number): boolean => this.#locate(sides, side) };
    this.#rules = parts.makeRules(settings.rules, memory, places, this.now, this.counts);
    const { reply } = this.#rules;
    this.#reply = Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength);
    const { limit, generic, exempt } = settings.stun;
    this.#stun = new StunAnswers(this.counts, { limit, generic, exempt: new PrefixSet(exempt) });
  }

  /** Opens the sockets. Rejects with a TowpathError whose `place` says where it cannot listen. */
  static async open(settings: UdpDoorSettings, parts: PlainDoorParts): Promise<PlainDoor> {
    const door = new PlainDoor(settings, parts);
    try {
      const places = withoutTwins(settings.places);
      for (const place of places) {
        if (isInheritedPort(door.#places, place)) continue;
        await door.#bind(place, settings.skipsTaken && (door.#bound.length > 0 || place !== places.at(-1)));
      }
    } catch (error) {
      await door.close();
      throw error;
    }
    door.#stopTicking = parts.clock.onTick((now) => door.#tick(now));
    return door;
  }

  get places(): readonly DoorPlace[] {
    return this.#places;
  }

  command(message: unknown): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new Error('the UDP door is closed'));
    return Promise.resolve(this.#rules.command(message, this.#parts.clock.now));
  }

  setLimits(limits: UdpRelayLimits): void {
    this.#rules.command({ kind: 'limits', limits }, this.#parts.clock.now);
  }

  setSilent(isSilent: boolean): void {
    this.#stun.isSilent = isSilent;
  }

  query(queries: readonly StunQuery[]): void {
    for (const { id, place, ip, port } of queries) {
      const request = encodeBindingRequest(Buffer.from(id, 'hex'));
      this.#queries.expect(id);
      if (this.#bound[place]?.send(request, 0, request.length, ip, port) === true) {
        this.counts[DoorCount.sentBatches]! += 1;
        this.counts[DoorCount.sentBytes]! += request.length;
      }
    }
  }

  /** Does nothing: there is no offload without system calls. */
  setOffload(): void {
    return;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTicking();
    this.#socketErrors.close();
    this.#places.length = 0;
    await Promise.all(this.#bound.splice(0).map((sockets) => sockets.close()));
  }

  /** A datagram arrived (transport port). */
  datagram(socket: DatagramSocket, buffer: Buffer, from: number, to: number, ip: string, port: number): void {
    if (this.#isClosed || !writeAddress(this.words, 0, ip, port)) return;
    this.counts[DoorCount.receivedBatches]! += 1;
    this.counts[DoorCount.receivedBytes]! += to - from;
    this.bytes = buffer;
    this.from = from;
    this.to = to;
    this.#socket = socket;
    if (looksLikeStun(buffer, from, to)) {
      if (this.#queries.isAnswer(buffer, from)) {
        const sighting = this.#queries.take(buffer, from, to);
        if (sighting === null) this.counts[DoorCount.stunNotStun]! += 1;
        else this.onSighting(sighting);
        return;
      }
      const length = this.#stun.answer(this.#response, buffer, from, to, this.words, 0);
      if (length > 0) this.#send(socket, this.#response, 0, length, ip, port);
      return;
    }
    this.now = this.#parts.clock.now;
    const verdict = this.#rules.receive(this);
    if (verdict === Verdict.Forward) this.#forward(this.#rules.destination);
    else if (verdict === Verdict.Reply) this.#send(socket, this.#reply, 0, this.#rules.replyLength, ip, port);
  }

  /** Counts and logs the error of a socket, which stays open (transport port). May be called for every datagram. */
  error(error: Error): void {
    this.counts[DoorCount.socketErrors]! += 1;
    for (const sockets of this.#bound) sockets.suspect();
    this.#socketErrors.add(error.message, this.#where);
  }

  /** Writes the address that the datagram was sent to, for the side that it binds (arrival). */
  writeLocal(sides: Int32Array, side: number): void {
    const { ip, port } = this.#socket!.address;
    writeAddress(this.#local, 0, ip, port);
    const isIpv6 = ip.includes(':');
    for (let i = 0; i < 4; i++) {
      sides[side + SideWord.LocalIp + i] = isIpv6 ? this.#local[SideWord.Ipv6 + i]! : i === 0 ? this.#local[1]! : 0;
    }
    sides[side + SideWord.LocalInterface] = 0;
    sides[side + SideWord.LocalPort] = port;
    sides[side + SideWord.Socket] = this.#number(this.#socket!);
  }

  async #bind(place: DoorPlace, maySkip: boolean): Promise<void> {
    const { transport, clock, listener, addresses } = this.#parts;
    const { port } = place;
    try {
      const onMissing = (addresses: readonly string[], reason: string): void =>
        listener.missing(addresses, port, reason);
      const onChanged = (): void => this.#forgetSockets();
      const more = addresses === undefined ? {} : { addresses };
      const parts = { transport, handler: this, clock, onMissing, onChanged, ...more };
      const sockets = await AddressSockets.open(parts, place);
      this.#bound.push(sockets);
      this.#places.push({ ...place, ...sockets.address });
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (!maySkip) throw Object.assign(failure, { place });
      listener.skipped(place, failure);
    }
  }

  #tick(now: number): void {
    this.#stun.tick(now);
    if (now - this.#tickedAt < TICK_MS) return;
    this.#tickedAt = now;
    this.#rules.tick(now);
  }

  #forward(side: number): void {
    const at = side * SIDE_WORDS;
    const { sides } = this.#rules;
    const { ip, port } = this.#textOf(side, at);
    const socket = this.#sockets[sides[at + SideWord.Socket]!] ?? this.#socketOf(sides, at);
    this.#send(socket, this.bytes, this.from, this.#rules.end, ip, port);
  }

  #send(socket: DatagramSocket, bytes: Buffer, from: number, to: number, ip: string, port: number): void {
    if (socket.send(bytes, from, to, ip, port)) {
      this.counts[DoorCount.sentBatches]! += 1;
      this.counts[DoorCount.sentBytes]! += to - from;
    } else {
      this.counts[DoorCount.sendBlocked]! += 1;
    }
  }

  /** Returns the address of a side as text, which is made once for each binding. */
  #textOf(side: number, at: number): SideText {
    const { sides } = this.#rules;
    const known = this.#texts[side];
    if (known !== undefined && sameAddress(known.words, 0, sides, at)) return known;
    const text = {
      words: sides.slice(at, at + ADDRESS_WORDS),
      ip: formatIp(ipBytesOf(sides, at)),
      port: portOf(sides, at),
    };
    this.#texts[side] = text;
    return text;
  }

  /**
   * The addresses of the machine have changed: each side finds its socket again with its next datagram, because the one
   * that it had may be closed.
   */
  #forgetSockets(): void {
    const { sides } = this.#rules;
    this.#sockets.length = 0;
    this.#numbers.clear();
    for (let at = 0; at < sides.length; at += SIDE_WORDS) sides[at + SideWord.Socket] = NO_SOCKET;
  }

  /**
   * Returns the socket of a side of an earlier process, by the local address of the side: another socket may be of the
   * other family.
   */
  #socketOf(sides: Int32Array, at: number): DatagramSocket {
    const words = isIpv6(sides, at) ? 4 : 1;
    const local = Buffer.alloc(words * 4);
    for (let i = 0; i < words; i++) local.writeInt32LE(sides[at + SideWord.LocalIp + i]!, i * 4);
    const sockets = this.#bound.find(({ address }) => address.port === sides[at + SideWord.LocalPort]);
    const socket = sockets?.socketOf(formatIp(local)) ?? this.#socket!;
    sides[at + SideWord.Socket] = this.#number(socket);
    return socket;
  }

  /** Returns the number of a socket's address. It stays the same when the socket is opened again. */
  #number(socket: DatagramSocket): number {
    const { ip, port } = socket.address;
    const key = `${ip} ${port}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      if (this.#sockets.length === MAX_NUMBERS) return NO_SOCKET;
      number = this.#sockets.length;
      this.#numbers.set(key, number);
    }
    this.#sockets[number] = socket;
    return number;
  }

  /**
   * Accepts a side of an earlier process before the sockets are bound. The first datagram to the side finds its socket.
   */
  #locate(sides: Int32Array, side: number): boolean {
    const port = sides[side + SideWord.LocalPort];
    const isBound = this.#bound.some(({ address }) => address.port === port);
    if (!isBound && !this.#ports.has(port!)) return false;
    sides[side + SideWord.Socket] = NO_SOCKET;
    return true;
  }
}

/** Returns the places without those that `::` covers: a socket of `::` takes both families here. */
function withoutTwins(places: readonly DoorPlace[]): DoorPlace[] {
  const isTwin = ({ ip, port, fd }: DoorPlace): boolean =>
    ip === '0.0.0.0' && fd === undefined && places.some((other) => other.ip === '::' && other.port === port);
  return places.filter((place) => !isTwin(place));
}
