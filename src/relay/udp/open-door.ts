import type { Clock } from '../../base/clock.ts';
import { TowpathError } from '../../base/errors.ts';
import { isLoopback } from '../../base/ip-address.ts';
import { ownerText, portOwner } from '../../base/port-owner.ts';
import { probeSystem } from '../../system/probe.ts';
import { loadSystemCalls } from '../../system/runtime.ts';
import { listenError } from '../../transport/shared/listen-errors.ts';
import type { Transport } from '../../transport/port.ts';
import type { DoorPlace } from './door-places.ts';
import type { UdpDoor, UdpDoorListener, UdpDoorSettings } from './door.ts';
import { makeRelayRules } from './make-rules.ts';
import { PlainDoor } from './plain-door.ts';
import { ThreadDoor } from './thread-door.ts';
import type { EventLog } from '../../base/event-log.ts';

export interface OpenDoorParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: EventLog<'debug' | 'info' | 'warn' | 'error'>;
}

/**
 * Opens the UDP door: as a thread with system calls where the machine has them, otherwise with the runtime's datagram
 * sockets. With a peer relay, the log then has one line with the reason and the loss. STUN on loopback addresses alone,
 * as in tests, has no thread: it would cost memory for nothing. Rejects with a TowpathError that names the port, and
 * the program that holds it.
 */
export async function openUdpDoor(settings: UdpDoorSettings, parts: OpenDoorParts): Promise<UdpDoor> {
  const { log, transport, clock } = parts;
  const listener = logListener(log);
  const hasRelay = settings.rules !== null;
  const openPlain = (): Promise<UdpDoor> =>
    PlainDoor.open(settings, { transport, clock, makeRules: makeRelayRules, listener, log });
  try {
    if (!hasRelay && settings.places.every(({ ip }) => isLoopback(ip))) return await openPlain();
    const calls = await loadSystemCalls();
    const probe = probeSystem(calls);
    if (probe.isUsable) return await ThreadDoor.open(calls, settings, listener);
    if (hasRelay)
      log.warn(
        { reason: probe.reason },
        'UDP goes through the sockets of the runtime: each datagram costs several times the CPU time, and rows of datagrams are cut (Node 26 or Bun on Linux does better)',
      );
    return await openPlain();
  } catch (error) {
    throw named(error);
  }
}

function logListener(log: EventLog<'debug' | 'info' | 'warn' | 'error'>): UdpDoorListener {
  return {
    missing: (addresses, port, reason) =>
      log.warn({ addresses, port, reason }, 'on these addresses, UDP answers may come from another address'),
    skipped: (place, error) => {
      const { message, hint } = placeError(place, error);
      log.warn({ hint }, `${message} The UDP door works without it.`);
    },
    lost: ({ ip, port }, error) => log.warn({ ip, port, error: error.message }, 'a UDP socket was lost'),
    reopened: ({ ip, port }, error) => {
      if (error === null) log.info({ ip, port }, 'a UDP socket is open again');
      else log.error({ ip, port, error: error.message }, 'a UDP socket cannot be opened again: the relay tries again');
    },
    crashed: (error) =>
      log.error(
        { error: error.stack ?? error.message },
        'the UDP thread ended because of a bug: the relay starts it again',
      ),
  };
}

function named(error: unknown): unknown {
  if (!(error instanceof Error) || !('place' in error)) return error;
  return placeError(error.place as DoorPlace, error);
}

function placeError({ ip, port }: DoorPlace, error: Error): TowpathError {
  const plain = error instanceof TowpathError ? error : listenError('UDP', ip, port, error);
  if (plain.code !== 'TOWPATH_LISTEN_IN_USE') return plain;
  const { owner } = portOwner('udp', port);
  if (owner === null) return plain;
  const message = plain.message.replace(/\.$/, `${ownerText(owner)}.`);
  return new TowpathError(plain.code, message, { ...(plain.hint !== undefined && { hint: plain.hint }), cause: error });
}
