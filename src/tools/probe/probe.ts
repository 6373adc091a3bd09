/**
 * The steps of `towpath probe`: DNS, TCP, TLS, upgrade, login, packets, STUN and HTTP, one file for each kind. Each step says
 * what it found and how to fix it (`step.ts`); this file runs them in order.
 */
import type { Clock } from '../../base/clock.ts';
import type { Transport } from '../../transport/port.ts';
import type { NodeKeyPair } from '../../wire/keys.ts';
import { generate204Step } from './captive-portal.ts';
import { tlsStep } from './certificate.ts';
import { upgradeStep, websocketStep, type LoginContext, type LoginResult } from './login.ts';
import { dnsStep, tcpStep, type Addresses } from './network.ts';
import { packetsStep } from './packets.ts';
import { skipped, type StepName, type StepResult } from './step.ts';
import { stunStep } from './stun.ts';
import type { ProbeTarget } from './target.ts';

/** How a relay is probed. */
export interface ProbeOptions {
  readonly transport: Transport;
  /** Started by the caller. */
  readonly clock: Clock;
  /** Time limit of each step. */
  readonly timeoutMs: number;
  /** Packets to send in each direction. */
  readonly packets: number;
  /** Send the packets over WebSocket; a failure of WebSocket then fails the probe. */
  readonly websocket: boolean;
  /** The key to log in with, for a relay that admits only known keys; null: random keys. */
  readonly keys: NodeKeyPair | null;
  /** Called after each step. */
  readonly onStep?: (result: StepResult) => void;
}

const RELAY_STEPS = ['tls', 'upgrade', 'websocket', 'packets'] as const;

/** Checks a relay from outside, step by step, and returns the results. Never rejects because a step failed. */
export async function probeRelay(target: ProbeTarget, options: ProbeOptions): Promise<StepResult[]> {
  const probe = new Probe(target, options);
  await probe.run();
  return probe.results;
}

class Probe {
  readonly results: StepResult[] = [];
  readonly #target: ProbeTarget;
  readonly #options: ProbeOptions;
  /** The address family that does not reach the relay, when the other one does. */
  #unused: 4 | 6 | null = null;

  constructor(target: ProbeTarget, options: ProbeOptions) {
    this.#target = target;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { transport, timeoutMs } = this.#options;
    const { relay, stunPort, httpPort } = this.#target;
    const { result, addresses } = await dnsStep(this.#target, timeoutMs);
    this.#add(result);
    // All other steps would fail for the same reason.
    if (result.status === 'failed') return;
    if (relay !== null) await this.#relay(relay, addresses);
    else if (stunPort === null) this.#add(servesNothing());
    await this.#stun(4, addresses.ipv4);
    await this.#stun(6, addresses.ipv6);
    this.#add(await generate204Step(transport, addresses.ipv4 ?? addresses.ipv6, httpPort, timeoutMs));
  }

  /** STUN over a family that does not reach the relay is not a second fault. */
  async #stun(family: 4 | 6, ip: string | null): Promise<void> {
    const { transport, timeoutMs } = this.#options;
    const result = await stunStep(
      transport,
      family === 4 ? 'stun-ipv4' : 'stun-ipv6',
      ip,
      this.#target.stunPort,
      timeoutMs,
    );
    const isEcho = result.status === 'failed' && this.#unused === family;
    this.#add(isEcho ? { ...result, status: 'warning' } : result);
  }

  async #relay(relay: NonNullable<ProbeTarget['relay']>, { ipv4, ipv6 }: Addresses): Promise<void> {
    const { transport, clock, timeoutMs } = this.#options;
    let byIpv4 = await tcpStep(transport, 'tcp-ipv4', ipv4, relay.port, timeoutMs);
    let byIpv6 = await tcpStep(transport, 'tcp-ipv6', ipv6, relay.port, timeoutMs);
    // Clients try both families at once and use the one that answers.
    if (byIpv4.status === 'failed' && byIpv6.status === 'ok') byIpv4 = this.#notUsed(4, byIpv4);
    if (byIpv6.status === 'failed' && byIpv4.status === 'ok') byIpv6 = this.#notUsed(6, byIpv6);
    if (byIpv4.status === 'skipped' && byIpv6.status === 'skipped') {
      if (ipv4 === null && ipv6 !== null) byIpv6 = unreachable(byIpv6, this.#target.host);
      else byIpv4 = unreachable(byIpv4, this.#target.host);
    }
    this.#add(byIpv4);
    this.#add(byIpv6);
    const ip = byIpv4.status === 'ok' ? ipv4 : byIpv6.status === 'ok' ? ipv6 : null;
    if (ip === null) {
      this.#skip(RELAY_STEPS, 'no TCP connection');
      return;
    }
    if (relay.secure) {
      const tls = this.#add(await tlsStep(transport, this.#target, ip, relay.port, timeoutMs));
      if (tls.status === 'failed') {
        this.#skip(['upgrade', 'websocket', 'packets'], 'no TLS');
        return;
      }
    } else {
      this.#skip(['tls'], 'an http:// URL has no TLS');
    }
    await this.#logins({
      transport,
      clock,
      target: this.#target,
      url: relay.url,
      ip,
      timeoutMs,
      keys: this.#options.keys,
    });
  }

  async #logins(context: LoginContext): Promise<void> {
    const { websocket, packets, timeoutMs } = this.#options;
    const logins: LoginResult[] = [];
    try {
      logins.push(await upgradeStep(context));
      this.#add(logins[0]!.result);
      logins.push(await websocketStep(context, websocket));
      this.#add(logins[1]!.result);
      if (context.keys !== null) for (const client of logins[websocket ? 0 : 1]!.clients) client.close();
      // With one key there is one client, which sends to itself.
      const [a, b = a] = logins[websocket ? 1 : 0]!.clients;
      if (a === undefined || b === undefined) this.#skip(['packets'], 'not logged in');
      else this.#add(await packetsStep(a, b, packets, timeoutMs));
    } finally {
      for (const client of logins.flatMap(({ clients }) => clients)) client.close();
    }
  }

  #notUsed(family: 4 | 6, result: StepResult): StepResult {
    this.#unused = family;
    const used = family === 4 ? 'IPv6' : 'IPv4';
    return {
      ...result,
      status: 'warning',
      fix: `${result.fix ?? ''} Until then, only clients with ${used} reach the relay.`.trim(),
    };
  }

  #skip(steps: readonly StepName[], reason: string): void {
    for (const step of steps) this.#add(skipped(step, reason));
  }

  #add(result: StepResult): StepResult {
    this.results.push(result);
    this.#options.onStep?.(result);
    return result;
  }
}

/** No family could be tried; clients cannot connect either. */
function unreachable(result: StepResult, host: string): StepResult {
  const isOff = result.text.startsWith('no IPv');
  return {
    ...result,
    status: 'failed',
    text: isOff ? `${host} has neither an IPv4 nor an IPv6 address that clients may use` : result.text,
    fix: isOff
      ? 'Set IPv4 or IPv6 of the node to an address, or remove both from the map and add an A or AAAA record for the name.'
      : 'Probe from a machine that has this address family.',
  };
}

function servesNothing(): StepResult {
  const text = 'the map has STUNOnly, but no STUN port';
  return { ...skipped('stun-ipv4', text), status: 'failed', fix: 'Remove STUNOnly from the map, or set STUNPort.' };
}
