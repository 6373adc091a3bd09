/**
 * `socket-holder.ts IP TCP-PORT UDP-PORT COMMAND…`: opens the sockets of a relay, as systemd does for socket units. For each
 * line `start` on standard input it starts the command with them, for `stop` it stops the command, and for `next` the command starts
 * its next process. The sockets stay open, so clients that connect meanwhile wait for the next process.
 */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A shell script that starts the command, with the sockets as descriptors 3 and 4. */
const HOLDER = `
while read -r command; do
  case $command in
    start)
      sh -c 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=derp:stun exec "$@"' sh "$@" < /dev/null &
      pid=$! ;;
    next)
      kill -USR2 $pid ;;
    stop)
      kill $pid; wait $pid; echo "ended $pid" ;;
  esac
done
kill 0`;

const [ip = '', tcpPort = '', udpPort = '', ...command] = process.argv.slice(2);
const server = createServer().listen(Number(tcpPort), ip);
await once(server, 'listening');
const datagrams = createSocket('udp4').bind(Number(udpPort), ip);
await once(datagrams, 'listening');

/** Returns the descriptor of a socket of Node; the property is not public. */
function descriptor(holder: object): number {
  const handle: unknown = Reflect.get(holder, '_handle') ?? Reflect.get(holder, 'handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number') throw new Error('this version of Node hides its descriptors elsewhere');
  return fd;
}

const state = Object.getOwnPropertySymbols(datagrams).find(({ description }) => description === 'state symbol');
const sockets = [descriptor(server), descriptor(Reflect.get(datagrams, state!) as object)];
const holder = spawn('sh', ['-c', HOLDER, 'sh', ...command], {
  stdio: ['inherit', 'inherit', 'inherit', ...sockets],
  detached: true,
});
// This process must not accept connections or read datagrams.
server.close();
datagrams.close();
await once(holder, 'exit');
