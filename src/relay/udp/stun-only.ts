import { Verdict, type DatagramRules } from './port.ts';

/** The rules where there is no peer relay: nothing is forwarded, and what is not STUN is dropped. */
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
