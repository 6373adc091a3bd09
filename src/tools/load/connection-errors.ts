import { errorMessage, TowpathError } from '../../base/errors.ts';
import type { ConnectionErrorCount } from './messages.ts';

/** Number of different errors that are kept. Others are counted as the last one. */
const MAX_KINDS = 8;

/** Why connections failed or ended, counted by kind. */
export class ConnectionErrors {
  readonly #byCode = new Map<string, ConnectionErrorCount>();

  /** The kinds, in order of their first occurrence. */
  get list(): ConnectionErrorCount[] {
    return [...this.#byCode.values()];
  }

  /** Counts one. */
  add(error: unknown): void {
    const code = error instanceof TowpathError ? error.code : 'TOWPATH_LOAD';
    const hint = error instanceof TowpathError ? (error.hint ?? '') : '';
    this.count({ code, message: errorMessage(error), hint, count: 1 });
  }

  /** Adds the counts of another worker. */
  count(counted: Readonly<ConnectionErrorCount>): void {
    const known = this.#byCode.get(counted.code) ?? (this.#byCode.size < MAX_KINDS ? undefined : this.list.at(-1));
    if (known === undefined) this.#byCode.set(counted.code, { ...counted });
    else known.count += counted.count;
  }
}
