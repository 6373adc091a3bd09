import { randomBytes } from 'node:crypto';
import { TowpathError } from '../../base/errors.ts';
import type { DatagramSocket, Transport } from '../../transport/port.ts';
import { formatHostPort, ipFamily } from '../../base/ip-address.ts';
import {
  encodeBindingRequest,
  parseBindingResponse,
  STUN_TRANSACTION_ID_BYTES,
  type StunAnswer,
} from '../../wire/stun.ts';
import { withTimeout } from './network.ts';
import { runStep, skipped, type StepResult } from './step.ts';

/** UDP loses datagrams: as many tries as clients make in their first round, but further apart (§8.8). */
const TRIES = 3;
const TRY_SPACING_MS = 500;
const MAX_WAIT_MS = 3000;

/** Asks the relay's STUN server for this machine's address. */
export async function stunStep(
  transport: Transport,
  step: 'stun-ipv4' | 'stun-ipv6',
  ip: string | null,
  port: number | null,
  timeoutMs: number,
): Promise<StepResult> {
  const family = step === 'stun-ipv4' ? 4 : 6;
  if (port === null) return skipped(step, 'this relay has no STUN');
  if (ip === null) return skipped(step, `no IPv${family} address`);
  return runStep(
    step,
    async () => {
      const exchange = new StunExchange();
      const socket = await transport.bindDatagram(family === 4 ? '0.0.0.0' : '::', 0, exchange);
      try {
        if (ipFamily(socket.address.ip) !== family) {
          return { status: 'skipped', text: `this machine has no IPv${family}` };
        }
        const { answer, from, ms } = await exchange.run(socket, ip, port, Math.min(timeoutMs, MAX_WAIT_MS));
        const mapped = formatHostPort(answer.ip, answer.port);
        const details = { ip, port, mapped, mappedIp: answer.ip, answeredFrom: from };
        return { text: `the relay sees this machine as ${mapped}`, ms, details };
      } finally {
        await socket.close();
      }
    },
    (error) =>
      error instanceof TowpathError && error.code === 'TOWPATH_PROBE_TIMEOUT'
        ? `Open UDP port ${port} to the relay in every firewall on the path, and check that STUN is on.`
        : null,
  );
}

interface Answered {
  readonly answer: StunAnswer;
  /** Where the answer came from. */
  readonly from: string;
  readonly ms: number;
}

/** One STUN request, sent in up to {@link TRIES} datagrams. */
class StunExchange {
  readonly #sentAtMs = new Map<string, number>();
  readonly #answered = Promise.withResolvers<Answered>();

  async run(socket: DatagramSocket, ip: string, port: number, waitMs: number): Promise<Answered> {
    const ask = (): void => {
      const id = randomBytes(STUN_TRANSACTION_ID_BYTES);
      const request = encodeBindingRequest(id);
      this.#sentAtMs.set(id.toString('hex'), performance.now());
      socket.send(request, 0, request.length, ip, port);
    };
    ask();
    const timer = setInterval(() => (this.#sentAtMs.size < TRIES ? ask() : clearInterval(timer)), TRY_SPACING_MS);
    try {
      return await withTimeout(this.#answered.promise, waitMs, `no STUN answer from ${formatHostPort(ip, port)}`);
    } finally {
      clearInterval(timer);
    }
  }

  datagram(_socket: DatagramSocket, buffer: Buffer, start: number, end: number, ip: string, port: number): void {
    const answer = parseBindingResponse(buffer, start, end);
    const sentAtMs = answer === null ? undefined : this.#sentAtMs.get(answer.transactionId.toString('hex'));
    if (answer === null || sentAtMs === undefined) return;
    this.#answered.resolve({ answer, from: formatHostPort(ip, port), ms: performance.now() - sentAtMs });
  }

  error(error: Error): void {
    this.#answered.reject(error);
  }
}
