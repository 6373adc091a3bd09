import type { Logger } from 'pino';
import { z } from 'zod';
import type { ActionAnswer, ActionBodies, ActionName } from '../../api/shapes.ts';
import { ApiError } from '../../http/api/api-error.ts';
import type { KeyDenial } from '../../admission/key-denials.ts';
import { isZeroKey, parseHexKey, parseNodeKey, shortKey } from '../../wire/keys.ts';
import { errorMessage } from '../../base/errors.ts';
import type { LimitChanges } from './limit-changes.ts';
import { CHANGEABLE } from './limit-table.ts';

/** A year: the longest that a denial or a changed limit may hold. */
const LONGEST_SECONDS = 31_536_000;
const LONGEST_REASON = 200;

/** The result of a reload. */
export interface ReloadOutcome {
  /** Why the old configuration stays in use; null: the new one is in use. */
  readonly error: string | null;
  /** Keys whose changes need a restart. */
  readonly restartKeys: readonly string[];
}

/** What only the owner of the process can do; absent for a relay inside another program. */
export interface ProcessControl {
  reload(): ReloadOutcome;
  /** Starts the end of the process, as SIGTERM does. */
  drain(why: string): void;
}

interface ActionParts {
  readonly log: Logger;
  readonly now: () => number;
  /** Ends the connections of a key of 32 bytes; resolves with how many there were. */
  readonly disconnect: (key: Buffer) => Promise<number>;
  /** False: there are too many denials. */
  readonly deny: (denial: KeyDenial) => boolean;
  /** Returns whether there was a denial. */
  readonly allow: (key: string) => boolean;
  readonly limits: LimitChanges;
  readonly control: () => ProcessControl | null;
}

const nodeKey = z.string().transform((text, context) => {
  const key = parseNodeKey(text) ?? parseHexKey(text);
  if (key !== null && !isZeroKey(key)) return key;
  const message =
    key === null ? 'allowed: nodekey: and 64 hex digits' : 'this cannot be the key of a node: all its digits are 0';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
const disconnectBody = z.strictObject({ key: nodeKey });
const denyBody = z.strictObject({
  key: nodeKey,
  seconds: z.int().min(0).max(LONGEST_SECONDS),
  reason: z.string().max(LONGEST_REASON).default(''),
});
const number = z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullable();
const seconds = z.int().min(1).max(LONGEST_SECONDS).nullable().default(null);
const limitBody = z.strictObject({ name: z.string(), value: number, seconds });
const keyLimitBody = z.strictObject({ key: nodeKey, bytesPerSecond: number, seconds });
const emptyBody = z.strictObject({});

type Done = string | Promise<string>;

/** The actions of the admin API. Each leaves one line in the log, also when it failed: the client and the action. */
export class Actions {
  readonly #parts: ActionParts;

  constructor(parts: ActionParts) {
    this.#parts = parts;
  }

  /** Does an action. Throws an {@link ApiError} when the body is wrong or it cannot be done. */
  async act(name: ActionName, body: unknown, by: string): Promise<ActionAnswer> {
    const { log } = this.#parts;
    try {
      const message = await this.#do(name, body);
      log.warn({ audit: true, action: name, by, ...auditFields(body) }, `action: ${message}`);
      return { done: true, message };
    } catch (error) {
      const fields = { audit: true, action: name, by, ...auditFields(body), error: errorMessage(error) };
      log.warn(fields, 'action refused');
      throw error;
    }
  }

  #do(name: ActionName, body: unknown): Done {
    switch (name) {
      case 'disconnect':
        return this.#disconnect(checked(disconnectBody, body));
      case 'deny':
        return this.#deny(checked(denyBody, body));
      case 'limit':
        return hasKey(body) ? this.#limitKey(checked(keyLimitBody, body)) : this.#limit(checked(limitBody, body));
      case 'reload':
        checked(emptyBody, body);
        return this.#reload();
      case 'drain':
        checked(emptyBody, body);
        return this.#drain();
    }
  }

  async #disconnect({ key }: z.output<typeof disconnectBody>): Promise<string> {
    const count = await this.#parts.disconnect(key);
    if (count === 0) {
      throw new ApiError(404, 'not_connected', `no open connection has the key ${shortKey(key)}`);
    }
    return `${count === 1 ? 'one connection' : `${count} connections`} of ${shortKey(key)} closed`;
  }

  #deny({ key, seconds, reason }: z.output<typeof denyBody>): string {
    const hex = key.toString('hex');
    if (seconds === 0) {
      if (!this.#parts.allow(hex)) throw new ApiError(404, 'not_denied', `the key ${shortKey(key)} is not denied`);
      return `${shortKey(key)} is no longer denied`;
    }
    const until = this.#parts.now() + seconds * 1000;
    if (!this.#parts.deny({ key: hex, until, reason })) {
      throw new ApiError(409, 'too_many_denials', 'too many keys are denied already', 'Use a deny file for that many.');
    }
    return `${shortKey(key)} denied until ${new Date(until).toISOString()}`;
  }

  #limitKey({ key, bytesPerSecond, seconds }: z.output<typeof keyLimitBody>): string {
    this.#parts.limits.changeKey(key.toString('hex'), bytesPerSecond, seconds);
    const who = shortKey(key);
    if (bytesPerSecond === null) return `the rate of ${who} is that of the configuration again`;
    const rate = bytesPerSecond === 0 ? 'without a limit' : `${bytesPerSecond} bytes per second`;
    return `${who} may send ${rate} ${this.#until(seconds, 'it is taken back or the relay restarts')}`;
  }

  #limit({ name, value, seconds }: z.output<typeof limitBody>): string {
    const least = CHANGEABLE.get(name);
    if (least === undefined) {
      const hint = `These can be changed: ${[...CHANGEABLE.keys()].join(', ')}.`;
      throw new ApiError(400, 'unknown_limit', `${name} is not a limit that can be changed without a restart`, hint);
    }
    if (value === null) {
      this.#parts.limits.changeLimit(name, null, null);
      return `${name} is that of the configuration again`;
    }
    if (value < least) throw new ApiError(400, 'invalid_body', `value: allowed: at least ${least}`);
    this.#parts.limits.changeLimit(name, value, seconds);
    return `${name} set to ${value} ${this.#until(seconds, 'the configuration is read again')}`;
  }

  #until(seconds: number | null, otherwise: string): string {
    return `until ${seconds === null ? otherwise : new Date(this.#parts.now() + seconds * 1000).toISOString()}`;
  }

  #reload(): string {
    const { error, restartKeys } = this.#control().reload();
    if (error !== null) {
      const hint = 'Fix the file and reload again; towpath config check shows all problems.';
      throw new ApiError(422, 'invalid_configuration', `the old configuration stays in use: ${error}`, hint);
    }
    return restartKeys.length === 0
      ? 'configuration reloaded'
      : `configuration reloaded; these keys need a restart: ${restartKeys.join(', ')}`;
  }

  #drain(): string {
    this.#control().drain('an action of the admin API');
    return 'draining: clients are told to reconnect, and the process ends';
  }

  #control(): ProcessControl {
    const control = this.#parts.control();
    if (control !== null) return control;
    throw new ApiError(
      409,
      'embedded',
      'this relay runs inside another program; only that program can reload or drain it',
    );
  }
}

/** Returns whether the body is about one node key. */
function hasKey(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'key' in body;
}

function checked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw new ApiError(400, 'invalid_body', problems.join('; '));
}

/**
 * Returns the fields of a body for the log: only known fields, and texts of at most {@link LONGEST_REASON} characters.
 */
function auditFields(body: unknown): Record<string, string | number | null> {
  if (typeof body !== 'object' || body === null) return {};
  const fields: Record<string, string | number | null> = {};
  for (const name of AUDITED) {
    const value = (body as Record<string, unknown>)[name];
    if (typeof value === 'number' || value === null) fields[name] = value;
    else if (typeof value === 'string') fields[name] = value.slice(0, LONGEST_REASON);
  }
  return fields;
}

type FieldOf<Body> = Body extends unknown ? keyof Body : never;
type BodyField = { [Name in ActionName]: FieldOf<ActionBodies[Name]> }[ActionName];
const AUDITED: readonly BodyField[] = ['key', 'seconds', 'reason', 'name', 'value', 'bytesPerSecond'];
