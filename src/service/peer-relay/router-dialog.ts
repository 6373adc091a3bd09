import type { Clock } from '../../base/clock.ts';
import type { Gateway } from '../../base/default-gateway.ts';
import { pause } from '../../base/pause.ts';
import type { DatagramSocket, Transport } from '../../transport/port.ts';

/** A request is sent again after this time without an answer, then after twice as long, and so on (RFC 6886 §3.1). */
const FIRST_WAIT_MS = 250;
const TRIES = 4;

/** Parts of a dialog with the router. */
export interface RouterDialogParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly gateway: Gateway;
  /** Ends the dialog at once, as if no answer came. */
  readonly signal: AbortSignal;
  /** The first of the waits for an answer, each twice as long as the last, in milliseconds; 250 by default. */
  readonly firstWaitMs?: number;
}

/**
 * Sends requests to UDP ports of the router and passes its answers on, until `isOver` returns true or the last try is
 * over. Datagrams from other senders are ignored. Rejects when the socket cannot be opened.
 */
export async function askRouter(
  { transport, clock, gateway, signal, firstWaitMs = FIRST_WAIT_MS }: RouterDialogParts,
  requests: () => readonly { readonly bytes: Buffer; readonly ip: string; readonly port: number }[],
  answered: (bytes: Buffer, from: number, to: number) => void,
  isOver: () => boolean,
): Promise<void> {
  const socket: DatagramSocket = await transport.bindDatagram(gateway.localIp, 0, {
    datagram: (_socket, buffer, from, to, ip) => {
      if (ip === gateway.ip) answered(buffer, from, to);
    },
    // A closed port answers by ICMP, which does not count as an answer.
    error: () => undefined,
  });
  try {
    for (let i = 0, waitMs = firstWaitMs; i < TRIES && !isOver() && !signal.aborted; i++, waitMs *= 2) {
      for (const { bytes, ip, port } of requests()) socket.send(bytes, 0, bytes.length, ip, port);
      await pause(clock, waitMs, signal, isOver);
    }
  } finally {
    await socket.close();
  }
}
