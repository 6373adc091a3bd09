import { createSocket } from 'node:dgram';
import { encodeFrame, FrameType } from '../../src/wire/frames.ts';
import { bytesOf, type Input, type Step } from './input.ts';
import { applyEdits } from './mutate.ts';
import { Ended, Wire, type Target } from './wire.ts';

const START_MS = 5000;
const PINGS = 2;
const PING = Buffer.from('fuzzping');

/**
 * The behaviour of a relay for an input: `closed`, `open`, `silent` (open, but it answers nothing: it may wait for more), each
 * with the statuses of HTTP answers in front, or `in, …` when a ClientInfo was accepted.
 */
export type Outcome = string;

/** Sends an input from `localAddress`. `patienceMs` is the longest wait for an answer or an end, in milliseconds. */
export async function play(input: Input, target: Target, patienceMs: number, localAddress?: string): Promise<Outcome> {
  if (input.port === 'stun') return playDatagrams(input, target);
  let wire: Wire | null = null;
  try {
    wire = await Wire.open(
      input.port === 'http' ? target.http : target.derp,
      {
        tls: input.port === 'derp' && target.hasTls ? input.tls : null,
        cuts: input.cuts,
        ...(input.preamble === undefined ? {} : { preamble: bytesOf(input.preamble) }),
        ...(localAddress === undefined ? {} : { localAddress }),
      },
      START_MS,
    );
    if (input.start !== 'nothing') {
      const how = input.start.startsWith('websocket') ? 'websocket' : input.cuts % 2 === 0 ? 'fast-start' : 'upgrade';
      await wire.upgrade(how, START_MS);
      if (input.start.endsWith('login')) await wire.login(START_MS);
    }
    for (const step of input.steps) await playStep(wire, step);
    return await outcome(wire, input, patienceMs);
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    return `${error.message} at the start`;
  } finally {
    await end(wire, input);
  }
}

async function playStep(wire: Wire, step: Step): Promise<void> {
  if ('send' in step) await wire.send(bytesOf(step.send));
  else if ('bare' in step) await wire.bare(bytesOf(step.bare));
  else if ('raw' in step) await wire.raw(bytesOf(step.raw));
  else if ('toSelf' in step) {
    await wire.send(encodeFrame(FrameType.SendPacket, wire.keys.publicKey, bytesOf(step.toSelf)));
  } else {
    const key = step.publicKey === undefined ? undefined : Buffer.from(step.publicKey, 'hex');
    await wire.send(applyEdits(wire.clientInfo(bytesOf(step.clientInfo), key), step.edits ?? []));
  }
}

async function outcome(wire: Wire, { start }: Input, patienceMs: number): Promise<Outcome> {
  if (start === 'nothing') {
    await wire.until(() => false, patienceMs).catch(() => undefined);
    const statuses = [...wire.received.toString('latin1').matchAll(/^HTTP\/1\.[01] (\d{3})/gm)].map(
      (match) => match[1],
    );
    return [...statuses, wire.isClosed ? 'closed' : 'open'].join(', ');
  }
  let isIn = start.endsWith('login');
  // derper does not answer a ping while its last pong waits to be written.
  for (let tries = 0; tries < PINGS; tries++) {
    if (isIn) await wire.send(encodeFrame(FrameType.Ping, PING));
    try {
      for (;;) {
        const { type, payload } = await wire.frame(patienceMs);
        if (type === FrameType.Pong && payload.equals(PING)) return 'open';
        if (type !== FrameType.ServerInfo || isIn) continue;
        isIn = true;
        await wire.send(encodeFrame(FrameType.Ping, PING));
      }
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      if (wire.isClosed || !isIn) break;
    }
  }
  return `${isIn ? 'in, ' : ''}${wire.isClosed ? 'closed' : 'silent'}`;
}

async function end(wire: Wire | null, { end: how }: Input): Promise<void> {
  if (wire === null) return;
  if (how === 'reset') wire.reset();
  else if (how === 'fin') wire.fin();
  else if (how === 'half-close') {
    wire.halfClose();
    await wire.until(() => false, 50).catch(() => undefined);
  }
  wire.destroy();
}

async function playDatagrams(input: Input, target: Target): Promise<Outcome> {
  const socket = createSocket('udp4');
  socket.on('error', () => undefined);
  for (const step of input.steps) {
    if (!('send' in step)) continue;
    await new Promise<void>((resolve) => socket.send(bytesOf(step.send), target.stun, '127.0.0.1', () => resolve()));
  }
  await new Promise<void>((resolve) => socket.close(resolve));
  return 'sent';
}
