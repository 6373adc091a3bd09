import type { Clock } from '../../base/clock.ts';
import type { Transport } from '../../transport/port.ts';
import { formatNodeKey, type NodeKeyPair } from '../../wire/keys.ts';
import { connectDerp } from '../../client/connect.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import { runStep, type Outcome, type StepResult } from './step.ts';
import type { ProbeTarget } from './target.ts';

/** Parameters of the login steps. */
export interface LoginContext {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly target: ProbeTarget;
  readonly url: string;
  readonly ip: string;
  readonly timeoutMs: number;
  /** The key to log in with; null: a new random key for each connection. */
  readonly keys: NodeKeyPair | null;
}

/** A step, and the clients that it logged in: two with random keys, one with a given key, or none. */
export interface LoginResult {
  readonly result: StepResult;
  readonly clients: readonly DerpClient[];
}

/** Logs in as official clients do: fast start where the relay offers it, and the 101 upgrade too. */
export function upgradeStep(context: LoginContext): Promise<LoginResult> {
  return login('upgrade', context, [{}, { fastStart: false }], ([first]) =>
    first.facts.mode === 'fast-start' ? 'fast start and 101' : '101, no fast start',
  );
}

/** Logs in as browsers do. A relay without browser clients does not need WebSocket, so failure is a warning unless `required`. */
export async function websocketStep(context: LoginContext, required: boolean): Promise<LoginResult> {
  const { result, clients } = await login(
    'websocket',
    context,
    [{ websocket: true }, { websocket: true }],
    () => '101',
  );
  if (required || result.status !== 'failed') return { result, clients };
  return { result: { ...result, status: 'warning' }, clients };
}

async function login(
  step: 'upgrade' | 'websocket',
  context: LoginContext,
  ways: readonly { readonly fastStart?: boolean; readonly websocket?: boolean }[],
  describe: (clients: [DerpClient, ...DerpClient[]]) => string,
): Promise<LoginResult> {
  const { transport, clock, target, url, ip, timeoutMs, keys } = context;
  const { serverName, verify, idealNode } = target;
  const clients: DerpClient[] = [];
  const result = await runStep(step, async () => {
    for (const way of ways) {
      const info = { isProber: true };
      // Two connections with one key would receive each other's packets.
      if (keys !== null) clients.at(-1)?.close();
      clients.push(
        await connectDerp({
          transport,
          clock,
          url,
          ipOverride: ip,
          serverName,
          verify,
          idealNode,
          timeoutMs,
          info,
          ...(keys === null ? {} : { keys }),
          ...way,
        }),
      );
    }
    return outcome(clients as [DerpClient, ...DerpClient[]], describe);
  });
  if (result.status !== 'failed') return { result, clients: keys === null ? clients : clients.slice(-1) };
  for (const client of clients) client.close();
  return { result, clients: [] };
}

function outcome(
  clients: [DerpClient, ...DerpClient[]],
  describe: (clients: [DerpClient, ...DerpClient[]]) => string,
): Outcome {
  const { facts } = clients[0];
  const { version, bytesPerSecond, burstBytes } = facts.serverInfo;
  const serverKeys = new Set(clients.map((client) => formatNodeKey(client.facts.serverKey)));
  const limit = bytesPerSecond === 0 ? '' : `, limit ${bytesPerSecond} B/s`;
  const fields = {
    text: `${describe(clients)}, protocol ${version}${limit}`,
    ms: facts.openMs - facts.tlsMs,
    details: { mode: facts.mode, version, bytesPerSecond, burstBytes, serverKeys: [...serverKeys] },
  };
  if (serverKeys.size === 1) return fields;
  return {
    ...fields,
    status: 'warning',
    text: `${serverKeys.size} different relays answer at this address`,
    fix: 'Give each relay its own address and its own node in the DERP map: clients of different relays do not reach each other.',
  };
}
