import type { ErrorAnswer } from '../../api/shapes.ts';
import type { Page } from '../pages.ts';

/** A request to the API that cannot be done: the status, a stable code, and what to do. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string | null;

  constructor(status: number, code: string, message: string, hint: string | null = null) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** Returns an answer of the API. */
export function jsonPage(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Page {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  return { status, headers: { 'Content-Type': 'application/json', ...JSON_HEADERS, ...headers }, body };
}

/** Returns the answer for an error. */
export function errorJson(error: ApiError, headers: Readonly<Record<string, string>> = {}): Page {
  const { status, code, message, hint } = error;
  return jsonPage(status, { error: { code, message, hint } } satisfies ErrorAnswer, headers);
}

const JSON_HEADERS = { 'X-Content-Type-Options': 'nosniff' };
