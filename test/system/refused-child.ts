/**
 * A process in which system calls are refused: `refused-child.ts '{"sendmmsg": 1}'`. Prints the result of the probe and
 * the error of a send, as JSON.
 */
import { errnoName, MSG_DONTWAIT } from '../../src/system/linux.ts';
import { probeSystem } from '../../src/system/probe.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { Fixture, pattern } from './fixture.ts';
import { refuseCalls, type RefusedCall } from './refuse-calls.ts';

const calls = await loadSystemCalls();
await refuseCalls(calls, JSON.parse(process.argv[2] ?? '{}') as Partial<Record<RefusedCall, number>>);
const probe = probeSystem(calls);
const fixture = new Fixture(calls);
const socket = fixture.open('127.0.0.1');
fixture.add(pattern(100, 1), '127.0.0.1', socket.port);
const sent = fixture.out.send(socket.fd, 0, MSG_DONTWAIT);
const errno = sent < 0 ? errnoName(calls.errno()) : null;
fixture.close();
process.stdout.write(JSON.stringify({ probe, sent, errno }));
