/** A UDP door of its own process, for `bench/udp.ts`: prints its port as JSON and ends with its standard input. */
import { ThreadDoor } from '../../src/relay/udp/thread-door.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';

const fail = (_place: unknown, error: Error | null): void => {
  if (error !== null) throw error;
};
const door = await ThreadDoor.open(
  await loadSystemCalls(),
  {
    places: [{ ip: '127.0.0.1', port: 0 }],
    skipsTaken: false,
    offload: { gro: true, gso: true, neverEqualTail: false },
    stun: { limit: null, generic: null, exempt: [] },
    rules: null,
    endpoints: 2048,
  },
  { skipped: fail, lost: fail, reopened: fail, crashed: (error) => fail(null, error) },
  new URL('../../test/relay/udp/forwarder-thread.ts', import.meta.url),
);
process.stdout.write(`${JSON.stringify({ how: door.how, port: door.places[0]!.port })}\n`);
process.stdin.resume().once('end', () => void door.close());
