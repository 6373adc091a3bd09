import { SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { DatagramHandler, DatagramSocket, Endpoint, Transport } from '../../transport/port.ts';
import { machineAddresses } from './machine-addresses.ts';

export interface AddressSocketsParts {
  readonly transport: Transport;
  readonly handler: DatagramHandler;
  readonly clock: Clock;
  /**
   * Called once for each change, with the addresses that have no socket of their own and the reason of the first one.
   */
  readonly onMissing: (addresses: readonly string[], reason: string) => void;
  /** Called when sockets of single addresses were closed or opened. */
  readonly onChanged?: () => void;
  /** Returns the addresses of this machine; throws when the system does not list them. For tests. */
  readonly addresses?: (withIpv6: boolean) => Set<string>;
}

/** A bound socket that the process inherited, or an address to bind. */
interface SocketPlace {
  readonly ip: string;
  readonly port: number;
  readonly fd?: number;
}

/** Time between two checks of the machine's addresses. */
const CHECK_MS = 5000;
/** Most sockets for single addresses. On a machine with more, the operator must configure the addresses that matter. */
const MAX_SOCKETS = 256;
/** Most attempts to find a free port: another program may take it in between. */
const TRIES = 5;

/**
 * A UDP socket on one address; or one on all addresses, and one more on each address of the machine. An answer from the
 * first would leave from the address that the kernel prefers, which is often not the one that the request was sent to.
 * Firewalls and connected sockets then drop the answer, and neither runtime can read or choose the address
 * (IP_PKTINFO). The first still answers for an address without a socket of its own, such as one that has just been
 * added.
 */
export class AddressSockets {
  readonly #parts: AddressSocketsParts;
  readonly #all: DatagramSocket;
  readonly #single = new Map<string, DatagramSocket>();
  readonly #stopTicking: () => void;
  /** True: it also has a socket on each address of the machine. */
  readonly #isEverywhere: boolean;
  #missing = '';
  #checkedAt = 0;
  #checking: Promise<void> | null = null;
  #isClosed = false;

  private constructor(parts: AddressSocketsParts, all: DatagramSocket, isEverywhere: boolean) {
    this.#isEverywhere = isEverywhere;
    this.#parts = parts;
    this.#all = all;
    this.#stopTicking = parts.clock.onTick((now) => {
      if (now - this.#checkedAt >= CHECK_MS) void this.check();
    }, SLOW_TICK_MS);
  }

  /**
   * Binds an address, and the addresses of the machine when it is `::` or `0.0.0.0`. An inherited socket is the only one
   * of its port. Rejects when the port cannot be opened.
   */
  static async open(parts: AddressSocketsParts, { ip, port, fd }: SocketPlace): Promise<AddressSockets> {
    const { transport, handler } = parts;
    if (fd !== undefined)
      return new AddressSockets(parts, await transport.bindDatagram(ip, port, handler, { fd }), false);
    if (!isWildcard(ip)) return new AddressSockets(parts, await transport.bindDatagram(ip, port, handler), false);
    const sockets = new AddressSockets(parts, await bindShared(parts, ip, port, TRIES), true);
    await sockets.check();
    return sockets;
  }

  /** Where it listens. */
  get address(): Endpoint {
    return this.#all.address;
  }

  /** Sends one datagram from the address that the kernel chooses; false when it was dropped. */
  send(buffer: Buffer, from: number, to: number, ip: string, port: number): boolean {
    return this.#all.send(buffer, from, to, ip, port);
  }

  /** Returns the socket that answers requests to `ip`, canonical text. */
  socketOf(ip: string): DatagramSocket {
    return this.#single.get(ip) ?? this.#all;
  }

  /** Opens sockets on addresses that are new and closes those of addresses that are gone. Never rejects. */
  async check(): Promise<void> {
    this.#checkedAt = this.#parts.clock.now;
    this.#checking ??= this.#follow().finally(() => (this.#checking = null));
    await this.#checking;
  }

  /** Checks the addresses of the machine within about a second, because they may have changed. */
  suspect(): void {
    this.#checkedAt = Math.min(this.#checkedAt, this.#parts.clock.now - CHECK_MS + 1000);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTicking();
    await this.#checking;
    await Promise.all([this.#all, ...this.#single.values()].map((socket) => socket.close()));
  }

  async #follow(): Promise<void> {
    if (!this.#isEverywhere) return;
    const { addresses = machineAddresses } = this.#parts;
    let wanted: Set<string>;
    try {
      wanted = addresses(this.address.ip === '::');
    } catch (error) {
      this.#report(['all'], `the addresses of this machine cannot be listed: ${errorMessage(error)}`);
      return;
    }
    for (const [ip, socket] of this.#single) {
      if (wanted.has(ip)) continue;
      this.#single.delete(ip);
      this.#parts.onChanged?.();
      await socket.close();
    }
    const missing: string[] = [];
    let reason = '';
    for (const ip of wanted) {
      if (this.#isClosed) return;
      const problem = this.#single.has(ip) ? null : await this.#add(ip);
      if (problem === null) continue;
      missing.push(ip);
      if (reason === '') reason = problem;
    }
    this.#report(missing, reason);
  }

  /** Returns why it could not be done, or null. */
  async #add(ip: string): Promise<string | null> {
    if (this.#single.size >= MAX_SOCKETS) return `more than ${MAX_SOCKETS} addresses`;
    const { transport, handler } = this.#parts;
    try {
      this.#single.set(ip, await transport.bindDatagram(ip, this.address.port, handler, { isShared: true }));
      this.#parts.onChanged?.();
      return null;
    } catch (error) {
      return errorMessage(error);
    }
  }

  #report(missing: readonly string[], reason: string): void {
    const news = missing.join(' ');
    if (news === this.#missing) return;
    this.#missing = news;
    if (missing.length > 0) this.#parts.onMissing(missing, reason);
  }
}

function isWildcard(ip: string): boolean {
  return ip === '::' || ip === '0.0.0.0';
}

/**
 * Binds a socket that shares its port with others of this process. It first binds without sharing, because only that
 * shows whether another relay has the port.
 */
async function bindShared(
  parts: Pick<AddressSocketsParts, 'transport' | 'handler'>,
  ip: string,
  port: number,
  tries: number,
): Promise<DatagramSocket> {
  const { transport, handler } = parts;
  const first = await transport.bindDatagram(ip, port, handler);
  const { address } = first;
  await first.close();
  try {
    return await transport.bindDatagram(address.ip, address.port, handler, { isShared: true });
  } catch (error) {
    if (port !== 0 || tries <= 1) throw error;
    return bindShared(parts, ip, port, tries - 1);
  }
}
