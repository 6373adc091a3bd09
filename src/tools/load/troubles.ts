import { errorMessage, TowpathError } from '../../base/errors.ts';
import type { Trouble } from './messages.ts';

/** How many different ones are kept; the others are counted as the last one. */
const MAX_TROUBLES = 8;

/** Why connections failed or ended, counted by kind. */
export class Troubles {
  readonly #byCode = new Map<string, Trouble>();

  /** The kinds, in the order in which they came up. */
  get list(): Trouble[] {
    return [...this.#byCode.values()];
  }

  /** Counts one. */
  add(error: unknown): void {
    const code = error instanceof TowpathError ? error.code : 'TOWPATH_LOAD';
    const hint = error instanceof TowpathError ? (error.hint ?? '') : '';
    this.count({ code, message: errorMessage(error), hint, count: 1 });
  }

  /** Counts what another one has counted. */
  count(trouble: Readonly<Trouble>): void {
    const known = this.#byCode.get(trouble.code) ?? (this.#byCode.size < MAX_TROUBLES ? undefined : this.list.at(-1));
    if (known === undefined) this.#byCode.set(trouble.code, { ...trouble });
    else known.count += trouble.count;
  }
}
