import { TowpathError } from '../../base/errors.ts';
import type { Stream, StreamHandler, Transport } from '../../transport/port.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { ResponseStart, type ResponseHead } from '../../client/response-head.ts';
import { withTimeout } from './network.ts';
import { runStep, skipped, type StepResult } from './step.ts';

/** Requests `/generate_204` as clients do to detect a captive portal (§5.4). */
export async function generate204Step(
  transport: Transport,
  ip: string | null,
  port: number | null,
  timeoutMs: number,
): Promise<StepResult> {
  if (port === null) return skipped('generate-204', 'the map does not have CanPort80');
  if (ip === null) return skipped('generate-204', 'no address');
  return runStep(
    'generate-204',
    async () => {
      // The challenge may only hold letters, digits and ". - _ :", which an IP of either family does.
      const challenge = `ts_${ip}`;
      const host = ipFamily(ip) === 6 ? `[${ip}]` : ip;
      const exchange = new HeadExchange(
        `GET /generate_204?t=${Math.floor(Date.now() / 1000)} HTTP/1.1\r\nHost: ${host}${port === 80 ? '' : `:${port}`}\r\n` +
          `X-Tailscale-Challenge: ${challenge}\r\nConnection: close\r\n\r\n`,
      );
      const { stream } = await transport.connect({ host: ip, port, tls: null, timeoutMs }, exchange);
      try {
        exchange.writable(stream);
        const head = await withTimeout(exchange.head, timeoutMs, 'no answer to /generate_204');
        judge(head, challenge);
        return { text: `port ${port} answers with 204 and the right response` };
      } finally {
        stream.abort();
      }
    },
    () => `Clients take this for a captive portal: forward TCP port ${port} to the relay, or set CanPort80 to false.`,
  );
}

function judge(head: ResponseHead, challenge: string): void {
  const answer = head.headers.get('x-tailscale-response');
  if (head.status !== 204) throw problem(`/generate_204 answers ${head.status} instead of 204`);
  if (answer !== `response ${challenge}`) throw problem('/generate_204 does not answer the challenge');
}

function problem(text: string): TowpathError {
  return new TowpathError('TOWPATH_PROBE_HTTP', text);
}

/** One request on a new stream, and the head of its response. */
class HeadExchange implements StreamHandler {
  readonly #start = new ResponseStart();
  readonly #answered = Promise.withResolvers<ResponseHead>();
  #unsent: Buffer;

  constructor(request: string) {
    this.#unsent = Buffer.from(request);
    // If the connect fails first, nothing waits for the answer.
    this.#answered.promise.catch(() => undefined);
  }

  get head(): Promise<ResponseHead> {
    return this.#answered.promise;
  }

  writable(stream: Stream): void {
    if (this.#unsent.length === 0) return;
    const taken = stream.write(this.#unsent, 0, this.#unsent.length);
    if (taken > 0) this.#unsent = this.#unsent.subarray(taken);
  }

  bytes(_stream: Stream, buffer: Buffer, from: number, to: number): void {
    this.#start.push(buffer, from, to);
    try {
      const taken = this.#start.take();
      if (taken !== null) this.#answered.resolve(taken.head);
    } catch (error) {
      this.#answered.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  closed(): void {
    this.#answered.reject(problem('the connection was closed without an answer'));
  }
}
