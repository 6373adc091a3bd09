import type { Counters } from '../../observe/counters.ts';
import { DoorCount, type DoorCounts } from './door-counts.ts';

/** The counts of sends that failed. Without a peer relay, only STUN answers are sent. */
const SEND_FAILURES = [
  DoorCount.sendBlocked,
  DoorCount.sendRefused,
  DoorCount.sendUnreachable,
  DoorCount.sendTooLong,
  DoorCount.sendFailed,
  DoorCount.socketDown,
] as const;

/** Copies the STUN counts of a door to the counters of the relay. */
export function countStun(counts: DoorCounts, counters: Counters): void {
  counters.stunIpv4 = counts[DoorCount.stunIpv4]!;
  counters.stunIpv6 = counts[DoorCount.stunIpv6]!;
  counters.stunSuccess = counters.stunIpv4 + counters.stunIpv6;
  counters.stunNotStun = counts[DoorCount.stunNotStun]!;
  counters.stunRateLimited = counts[DoorCount.stunRateLimited]!;
  counters.stunReadErrors = counts[DoorCount.socketErrors]!;
}

/** The same for a door without a peer relay, where every failure is one of STUN. */
export function countStunOnly(counts: DoorCounts, counters: Counters): void {
  countStun(counts, counters);
  counters.stunWriteErrors = SEND_FAILURES.reduce((sum, index) => sum + counts[index]!, 0);
}
