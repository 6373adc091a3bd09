import { SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import type { Counters } from '../../observe/counters.ts';
import type { DatagramHandler, DatagramSocket, Endpoint, Transport } from '../../transport/port.ts';
import { isBindingRequest, isTailnodeRequest, MAX_STUN_RESPONSE_BYTES, writeBindingResponse } from '../../wire/stun.ts';
import type { PrefixSet } from '../../base/ip-prefix.ts';
import { AddressSockets, type AddressSocketsParts } from './address-sockets.ts';
import { SourceSketch, type SketchRule } from './source-sketch.ts';

export interface StunServerOptions {
  readonly counters: Counters;
  readonly clock: Clock;
  /** The limit of Tailscale's requests of one source; null: no limit. */
  readonly limit?: SketchRule | null;
  /** Addresses that `limit` does not apply to. */
  readonly exempt?: PrefixSet;
  /** The limit of STUN clients that are not Tailscale's. Null, as in the reference: they get no answer. */
  readonly generic?: SketchRule | null;
  /** Called for errors of sockets, which are counted. The server continues. */
  readonly onError?: (error: Error) => void;
  /** Called with addresses of this machine that may be answered from another one, and the reason. */
  readonly onMissing?: AddressSocketsParts['onMissing'];
}

/**
 * The STUN server (protocol reference §6): tells a client the address that its datagram came from. It keeps no state
 * per client and never answers with an error. One object may serve several addresses.
 */
export class StunServer implements DatagramHandler {
  readonly #counters: Counters;
  readonly #limit: SourceSketch | null;
  readonly #exempt: PrefixSet | undefined;
  readonly #generic: SourceSketch | null;
  readonly #onError: ((error: Error) => void) | undefined;
  readonly #stopTicking: () => void;
  readonly #sockets = new Set<DatagramSocket | AddressSockets>();
  readonly #following: Pick<AddressSocketsParts, 'clock' | 'onMissing'>;
  readonly #response: Buffer = Buffer.alloc(MAX_STUN_RESPONSE_BYTES);
  #silentReason: string | null = null;

  constructor(options: StunServerOptions) {
    this.#counters = options.counters;
    this.#onError = options.onError;
    this.#following = { clock: options.clock, onMissing: options.onMissing ?? (() => undefined) };
    const [limit, generic] = [options.limit, options.generic].map((rule) => (rule ? new SourceSketch(rule) : null));
    this.#limit = limit ?? null;
    this.#exempt = options.exempt;
    this.#generic = generic ?? null;
    this.#stopTicking = options.clock.onTick((now) => {
      limit?.drain(now);
      generic?.drain(now);
    }, SLOW_TICK_MS);
  }

  /**
   * Listens on one more address and returns it with its real port. A wildcard address follows the addresses of the
   * machine, except on an inherited descriptor. Rejects when the address cannot be opened.
   */
  async bind(transport: Transport, ip: string, port: number, fd?: number): Promise<Endpoint> {
    const socket =
      fd === undefined
        ? await AddressSockets.open({ ...this.#following, transport, handler: this }, ip, port)
        : await transport.bindDatagram(ip, port, this, { fd });
    this.#sockets.add(socket);
    return socket.address;
  }

  /** Where it listens. */
  get addresses(): readonly Endpoint[] {
    return [...this.#sockets].map((socket) => socket.address);
  }

  /** Why it does not answer, or null. */
  get silentReason(): string | null {
    return this.#silentReason;
  }

  /**
   * Stops answering, so that clients go to another relay of the region, or answers again with null. The sockets stay
   * open: a closed port would tell clients nothing more, and reopening it may fail.
   */
  setSilent(reason: string | null): void {
    this.#silentReason = reason;
  }

  /** Closes the sockets that `bind` opened. */
  async close(): Promise<void> {
    this.#stopTicking();
    const sockets = [...this.#sockets];
    this.#sockets.clear();
    await Promise.all(sockets.map((socket) => socket.close()));
  }

  /** A datagram arrived (transport port). */
  datagram(socket: DatagramSocket, buffer: Buffer, from: number, to: number, ip: string, port: number): void {
    if (this.#silentReason !== null) return;
    if (!this.#mayAsk(buffer, from, to, ip)) return;
    const length = writeBindingResponse(this.#response, buffer, from, ip, port);
    if (length === 0 || !socket.send(this.#response, 0, length, ip, port)) {
      this.#counters.stunWriteErrors += 1;
      return;
    }
    this.#counters.stunSuccess += 1;
    if (ip.includes(':')) this.#counters.stunIpv6 += 1;
    else this.#counters.stunIpv4 += 1;
  }

  /** Counts the error of a socket, which stays open (transport port). */
  error(error: Error): void {
    this.#counters.stunReadErrors += 1;
    for (const socket of this.#sockets) if (socket instanceof AddressSockets) socket.suspect();
    this.#onError?.(error);
  }

  /**
   * Returns whether a request is within its limit. Generic requests have their own, so that they take nothing from
   * Tailscale's requests behind the same address.
   */
  #mayAsk(buffer: Buffer, from: number, to: number, ip: string): boolean {
    let isWithin: boolean;
    if (isTailnodeRequest(buffer, from, to)) {
      isWithin = this.#limit === null || this.#limit.take(ip) || this.#exempt?.has(ip) === true;
    } else if (this.#generic !== null && isBindingRequest(buffer, from, to)) {
      isWithin = this.#generic.take(ip);
    } else {
      this.#counters.stunNotStun += 1;
      return false;
    }
    if (!isWithin) this.#counters.stunRateLimited += 1;
    return isWithin;
  }
}
