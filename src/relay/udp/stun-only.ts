import { DoorCount, type DoorCounts } from './door-counts.ts';
import { Verdict, type DatagramRules } from './port.ts';

/** Makes the rules without a peer relay: everything except STUN is counted and dropped. */
export function createStunOnly(counts: DoorCounts): DatagramRules {
  return {
    sides: new Int32Array(0),
    reply: new Uint8Array(0),
    replyLength: 0,
    destination: 0,
    end: 0,
    receive: () => {
      counts[DoorCount.stunNotStun]! += 1;
      return Verdict.Drop;
    },
    tick: () => undefined,
    command: () => null,
  };
}
