import { Verdict, type DatagramRules } from './port.ts';

/** Makes the rules without a peer relay: nothing is forwarded, and everything except STUN is dropped. */
export function createStunOnly(): DatagramRules {
  return {
    sides: new Int32Array(0),
    reply: new Uint8Array(0),
    replyLength: 0,
    destination: 0,
    end: 0,
    receive: () => Verdict.Drop,
    tick: () => undefined,
    command: () => null,
  };
}
