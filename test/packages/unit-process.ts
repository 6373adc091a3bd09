import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { NotifyListener } from '../service/notify-listener.ts';
import { within } from '../service/support.ts';

const UNITS = 'usr/lib/systemd/system';
const NOTIFY = '/run/notify';
const DEADLINE_MS = 60_000;

/** A shell script that holds the sockets as systemd does, and starts the service with them. It does not use `exec`, so each start gets the sockets again. */
const HOLDER = `
while read -r command; do
  case $command in
    start) "$@" < /dev/null & pid=$!; echo "pid $pid" ;;
    wait) wait "$pid"; echo "ended $?" ;;
  esac
done`;

/**
 * Does the work of systemd for the unit of the package, in a root directory where systemd cannot run: it opens the sockets of the
 * socket units, starts `ExecStart=` as the user of the unit with these sockets, and waits for `READY=1`.
 */
export class UnitProcess {
  readonly #holder: ChildProcess;
  readonly #notify: NotifyListener;
  #pid = 0;
  #output = '';

  private constructor(notify: NotifyListener, holder: ChildProcess) {
    this.#notify = notify;
    this.#holder = holder;
    for (const stream of [holder.stdout, holder.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
  }

  /** Opens the sockets and the notify socket. The service is not started yet. */
  static async open(root: string): Promise<UnitProcess> {
    mkdirSync(path.join(root, 'run'), { recursive: true });
    const notify = await NotifyListener.open(path.join(root, NOTIFY));
    chmodSync(path.join(root, NOTIFY), 0o777);
    const names = unit(root, 'towpath.service').get('Sockets')!.split(' ');
    const sockets: OpenSocket[] = [];
    for (const name of names) sockets.push(await openSocket(unit(root, name)));
    const holder = spawn('sh', ['-c', HOLDER, 'sh', ...startCommand(root, sockets)], {
      stdio: ['pipe', 'pipe', 'pipe', ...sockets.map(({ fd }) => fd)],
    });
    // This process must not accept connections or read datagrams.
    for (const { close } of sockets) close();
    return new UnitProcess(notify, holder);
  }

  /** Starts the service and resolves when it says that it is ready. */
  async start(): Promise<void> {
    const from = this.#notify.messages.length;
    this.#pid = Number((await this.#ask('start', /^pid (\d+)$/m))[1]);
    await this.#notify.message(/^READY=1/, from).catch((error: unknown) => {
      throw new Error(`the service is not ready:\n${this.#output}`, { cause: error });
    });
  }

  /** Stops the service as systemd does; resolves with its exit code. */
  async stop(): Promise<number> {
    process.kill(this.#pid, 'SIGTERM');
    return Number((await this.#ask('wait', /^ended (\d+)$/m))[1]);
  }

  /** The output of the service so far. */
  get output(): string {
    return this.#output;
  }

  close(): void {
    try {
      process.kill(this.#pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
    this.#holder.kill('SIGKILL');
    this.#notify.close();
  }

  async #ask(command: string, answer: RegExp): Promise<RegExpExecArray> {
    const from = this.#output.length;
    const found = new Promise<RegExpExecArray>((resolve) => {
      const look = (): void => {
        const match = answer.exec(this.#output.slice(from));
        if (match !== null) resolve(match);
      };
      this.#holder.stdout?.on('data', look);
    });
    this.#holder.stdin?.write(`${command}\n`);
    return within(found, `${command}:\n${this.#output}`, DEADLINE_MS);
  }
}

/** Returns the command that becomes the service: `ExecStart=`, as the user of the unit and without privileges. */
function startCommand(root: string, sockets: readonly OpenSocket[]): string[] {
  const service = unit(root, 'towpath.service');
  const user = ['setpriv', `--reuid=${service.get('User')!}`, `--regid=${service.get('Group')!}`, '--init-groups'];
  const limits = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
  const environment = [
    `NOTIFY_SOCKET=${NOTIFY}`,
    'WATCHDOG_USEC=30000000',
    `LISTEN_FDS=${sockets.length}`,
    `LISTEN_FDNAMES=${sockets.map(({ name }) => name).join(':')}`,
  ];
  // LISTEN_PID is known only when the process runs.
  const script = `LISTEN_PID=$$ ${environment.join(' ')} exec ${service.get('ExecStart')!}`;
  return ['chroot', root, ...user, ...limits, 'sh', '-c', script];
}

interface OpenSocket {
  readonly name: string;
  readonly fd: number;
  readonly close: () => void;
}

/** Returns the values of a unit by key; the last line counts for a key with several. */
function unit(root: string, name: string): ReadonlyMap<string, string> {
  const text = readFileSync(path.join(root, UNITS, name), 'utf8');
  return new Map([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key!, value!]));
}

async function openSocket(socket: ReadonlyMap<string, string>): Promise<OpenSocket> {
  const name = socket.get('FileDescriptorName')!;
  const datagram = socket.get('ListenDatagram');
  if (datagram !== undefined) {
    const opened = createSocket('udp6').bind(Number(datagram), '::');
    await once(opened, 'listening');
    return { name, fd: handleFd(datagramHandle(opened)), close: () => opened.close() };
  }
  const server = createServer().listen(Number(socket.get('ListenStream')), '::');
  await once(server, 'listening');
  return { name, fd: handleFd(server), close: () => server.close() };
}

function handleFd(holder: object): number {
  const handle: unknown = Reflect.get(holder, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number' || fd < 0) throw new Error('this Node does not tell the descriptor of a socket');
  return fd;
}

/** Returns the handle of a datagram socket, which Node stores under a symbol. */
function datagramHandle(socket: Socket): object {
  const key = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol');
  const state: unknown = key === undefined ? undefined : Reflect.get(socket, key);
  return { _handle: typeof state === 'object' && state !== null ? (Reflect.get(state, 'handle') as unknown) : null };
}
