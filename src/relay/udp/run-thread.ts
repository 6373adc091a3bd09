import { receiveMessageOnPort } from 'node:worker_threads';
import { Arena } from '../../system/arena.ts';
import { Errno, SystemCallError } from '../../system/linux.ts';
import { loadSystemCalls } from '../../system/runtime.ts';
import { Wake } from '../../system/wake.ts';
import { PrefixSet } from '../../base/ip-prefix.ts';
import { DatagramLoop } from './datagram-loop.ts';
import { isInheritedPort, type DoorPlace } from './door-places.ts';
import { DoorSockets } from './door-sockets.ts';
import { soundOffload } from './offload.ts';
import { AF_INET, SIDE_WORDS, SideWord, type DatagramPlaces, type MakeDatagramRules } from './port.ts';
import type { UdpRelaySettings } from './rules.ts';
import { StunAnswers } from './stun-answers.ts';
import type { StunSighting } from './stun-queries.ts';
import type { FailedCall, FromUdpThread, ToUdpThread, UdpThreadData } from './thread-messages.ts';

/** Longest wait of the loop. The thread must also notice that the process ends without closing the door. */
const LONGEST_WAIT_MS = 500;

/**
 * Runs the UDP door in this thread, and returns when it is told to stop. The thread's event loop does not run
 * meanwhile.
 */
export async function runUdpThread(
  data: UdpThreadData,
  makeRules: MakeDatagramRules<UdpRelaySettings | null>,
): Promise<void> {
  const { settings, counts, port } = data;
  const tell = (message: FromUdpThread): void => port.postMessage(message);
  const calls = await loadSystemCalls();
  const arena = new Arena(calls, DatagramLoop.arenaBytes + Wake.arenaBytes);
  const sockets = new DoorSockets(calls, arena, counts, soundOffload(settings.offload), {
    lost: (place, error) => tell({ kind: 'lost', place, failed: plain(error) }),
    reopened: (place, error) => tell({ kind: 'reopened', place, failed: error === null ? null : plain(error) }),
  });
  try {
    const wake = new Wake(calls, arena, data.wakeFd);
    if (!openAll(sockets, settings.places, settings.skipsTaken, tell)) return;
    const now = (): number => performance.now();
    const memory = new Int32Array(2 * settings.endpoints * SIDE_WORDS);
    const rules = makeRules(settings.rules, memory, placesOf(sockets), now(), counts);
    const stun = new StunAnswers(counts, { ...settings.stun, exempt: new PrefixSet(settings.stun.exempt) });
    const sighted = (sighting: StunSighting): void => tell({ kind: 'sighting', sighting });
    const loop = new DatagramLoop({ calls, arena, sockets, rules, stun, sighted, counts, wakeFd: wake.fd, now });
    tell({ kind: 'opened', places: [...sockets.places()] });
    for (;;) {
      if (!loop.turn(LONGEST_WAIT_MS)) continue;
      wake.clear();
      for (let next = nextMessage(port); next !== null; next = nextMessage(port)) {
        if (next.kind === 'stop') return;
        if (next.kind === 'silent') stun.isSilent = next.isSilent;
        else if (next.kind === 'query') loop.query(next.queries);
        else if (next.kind === 'offload') sockets.setOffload(soundOffload(next.offload), now());
        else tell({ kind: 'answer', id: next.id, answer: rules.command(next.message, now()) });
      }
    }
  } finally {
    sockets.close();
    arena.release();
    port.close();
  }
}

function nextMessage(port: UdpThreadData['port']): ToUdpThread | null {
  const received = receiveMessageOnPort(port) as { message: ToUdpThread } | undefined;
  return received?.message ?? null;
}

function plain({ call, errno }: SystemCallError): FailedCall {
  return { call, errno };
}

/**
 * Opens the places. Returns false, with nothing open, when the door cannot be opened. IPv6 may be off on this machine.
 */
function openAll(
  sockets: DoorSockets,
  places: readonly DoorPlace[],
  skipsTaken: boolean,
  tell: (message: FromUdpThread) => void,
): boolean {
  let last: { place: DoorPlace; failed: FailedCall } | null = null;
  for (const place of places) {
    if (isInheritedPort(sockets.places(), place)) continue;
    try {
      add(sockets, place);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      last = { place, failed: plain(error) };
      const isEnd = !isIpv6Off(place, error) && !skipsTaken;
      tell({ kind: 'refused', ...last, isEnd });
      if (isEnd) return false;
    }
  }
  if (sockets.all.length === 0 && last !== null) tell({ kind: 'refused', ...last, isEnd: true });
  return sockets.all.length > 0;
}

/** Opens a place. Without IPv6 on this machine, a socket of both families becomes one of IPv4. */
function add(sockets: DoorSockets, place: DoorPlace): void {
  try {
    sockets.add(place);
  } catch (error) {
    if (place.isDual !== true || !isIpv6Off(place, error)) throw error;
    sockets.add({ ip: '0.0.0.0', port: place.port });
  }
}

function isIpv6Off({ ip }: DoorPlace, error: unknown): boolean {
  if (ip !== '::' || !(error instanceof SystemCallError)) return false;
  return error.errno === Errno.EAFNOSUPPORT || error.errno === Errno.EADDRNOTAVAIL;
}

/** Returns the sockets for sides of an earlier process: each side gets the socket of its family and port. */
function placesOf(sockets: DoorSockets): DatagramPlaces {
  return {
    locate(sides, side) {
      const isInet = (sides[side]! & 0xffff) === AF_INET;
      const port = sides[side + SideWord.LocalPort];
      const found = sockets.all.find((socket) => socket.takes(isInet) && socket.place.port === port);
      if (found !== undefined) sides[side + SideWord.Socket] = found.index;
      return found !== undefined;
    },
  };
}
