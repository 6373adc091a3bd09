import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.ts';

/** Bodies of actions are a few fields. */
const MOST_BYTES = 16 * 1024;
const DEADLINE_MS = 5000;

/** Reads the JSON body of a request, `{}` when it is empty. Rejects with an {@link ApiError}. */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const text = await readText(request);
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, 'invalid_json', 'the body is not valid JSON');
  }
}

function readText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => {
      reject(new ApiError(408, 'body_timeout', `the body did not come within ${DEADLINE_MS / 1000} s`));
    }, DEADLINE_MS);
    timer.unref();
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MOST_BYTES) reject(new ApiError(413, 'body_too_large', `the body is larger than ${MOST_BYTES} bytes`));
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('close', () => {
      clearTimeout(timer);
      reject(new ApiError(400, 'body_cut', 'the body is not complete'));
    });
    request.on('error', () => reject(new ApiError(400, 'body_cut', 'the body is not complete')));
  });
}
