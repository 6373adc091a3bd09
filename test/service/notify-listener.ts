import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from './support.ts';

/** A datagram socket of the family AF_UNIX, which Node cannot open: prints each message as one line of JSON. */
const PERL = `
use strict; use IO::Socket::UNIX; use Socket; $| = 1;
my $path = $ARGV[0]; $path =~ s/^\\@/\\0/;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "cannot listen: $!";
print "listening\\n";
while (defined($socket->recv(my $message, 4096))) {
  $message =~ s/\\\\/\\\\\\\\/g; $message =~ s/"/\\\\"/g; $message =~ s/\\n/\\\\n/g;
  print qq("$message"\\n);
}`;

/** Stands for systemd with a unit of `Type=notify`: listens on a socket and keeps the messages. */
export class NotifyListener {
  /** All messages so far, in order. */
  readonly messages: string[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  private constructor(path: string) {
    this.#child = spawn('perl', ['-e', PERL, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  /** Listens at `path`, which may be an abstract name with `@`. */
  static async open(path: string): Promise<NotifyListener> {
    const listener = new NotifyListener(path);
    const lines = createInterface({ input: listener.#child.stdout! });
    await within(once(lines, 'line'), 'the listener');
    lines.on('line', (line) => {
      listener.messages.push(JSON.parse(line) as string);
      for (const look of listener.#waiting) look();
    });
    return listener;
  }

  /** Resolves with the first message from number `from` on that matches. */
  async message(pattern: RegExp, from = 0): Promise<string> {
    const found = new Promise<string>((resolve) => {
      const look = (): void => {
        const message = this.messages.slice(from).find((text) => pattern.test(text));
        if (message !== undefined) resolve(message);
      };
      this.#waiting.add(look);
      look();
    });
    return within(found, `${String(pattern)}, after ${JSON.stringify(this.messages)}`, 30_000);
  }

  close(): void {
    this.#child.kill();
  }
}
