import { request, type IncomingMessage } from 'node:http';
import { systemErrorCode } from '../errors.ts';
import { SourceFailure } from './failure.ts';
import { parseJson, transportFailure } from './http-request.ts';
import type { Question } from './source.ts';

/** The capability version of upstream v1.102; tailscaled wants a number and does not compare it for this question. */
const CAPABILITY = '142';
/** A node with many routes; upstream has no limit. */
const ANSWER_BYTES = 1024 * 1024;

/**
 * Asks the local API of tailscaled who has a key (protocol reference §4.9). The answer needs only to be JSON, so that
 * versions of relay and tailscaled are independent of each other.
 */
export function whoIsRequest(socketPath: string, timeoutMs: number): (question: Question) => Promise<boolean> {
  return async ({ key }) => {
    const path = `/localapi/v0/whois?addr=${encodeURIComponent(`nodekey:${key}`)}`;
    const { status, body } = await get(socketPath, path, timeoutMs);
    if (status === 404) return false;
    const text = body.subarray(0, 120).toString('utf8').trim();
    if (status === 400 && text.includes("invalid 'addr' parameter")) {
      throw new SourceFailure('answer', 'this tailscaled is too old to be asked for node keys; update it');
    }
    if (status === 403)
      throw new SourceFailure(
        'answer',
        'tailscaled does not let this user ask; run towpath as root or as its operator',
      );
    if (status !== 200) throw new SourceFailure('answer', `tailscaled answered ${status}: ${text}`);
    parseJson(body);
    return true;
  };
}

function get(socketPath: string, path: string, timeoutMs: number): Promise<{ status: number; body: Buffer }> {
  const signal = AbortSignal.timeout(timeoutMs);
  const headers = { Host: 'local-tailscaled.sock', 'Tailscale-Cap': CAPABILITY };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, headers, signal, agent: false }, (response) => {
      collect(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), fail);
    });
    const fail = (error: unknown): void => reject(failureOf(error, socketPath, signal, timeoutMs));
    outgoing.on('error', fail);
    outgoing.end();
  });
}

async function collect(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > ANSWER_BYTES) throw new SourceFailure('answer', `the answer is longer than ${ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function failureOf(error: unknown, socketPath: string, signal: AbortSignal, timeoutMs: number): SourceFailure {
  if (error instanceof SourceFailure) return error;
  const meaning = {
    ENOENT: 'there is no such socket; is tailscaled running?',
    ECONNREFUSED: 'nobody answers there; is tailscaled running?',
    EACCES: 'this user may not open the socket',
  }[systemErrorCode(error)];
  return meaning === undefined
    ? transportFailure(error, signal, timeoutMs)
    : new SourceFailure('transport', `${socketPath}: ${meaning}`);
}
