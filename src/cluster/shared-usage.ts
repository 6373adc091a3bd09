import type { KeyUsage } from '../accounting/usage.ts';
import type { Valkey } from './valkey.ts';

/** Lifetime of the counts of a day and of a month, in seconds. */
const DAY_SECONDS = 2 * 86_400;
const MONTH_SECONDS = 33 * 86_400;
/** Most keys whose counts are exchanged at once. */
const KEYS_AT_ONCE = 500;
/** Most followed keys. When there are more, the oldest one is dropped. */
const MOST_KEYS = 200_000;
/** Rounds in which a key stays followed after its last connection: its last bytes are counted within two seconds. */
const ROUNDS_AFTER_END = 3;

/** The relay's own counts, and where those of the others go. */
export interface UsageMember {
  /** The present day of UTC, such as `2026-11-27`. */
  readonly day: string;
  /** The connected keys that have a quota. */
  keysWithQuota(): Iterable<string>;
  own(key: string): KeyUsage;
  /** Adds the totals that this relay had stored before its start. */
  adopt(key: string, stored: KeyUsage): void;
  setOthers(key: string, dayBytes: number, monthBytes: number): void;
  /** Called when the usage of these keys has changed. */
  changed(keys: readonly string[]): void;
}

/**
 * The bytes of keys with a quota, which the relays of a region share. Each relay stores its own totals and reads those of the
 * others. What is stored is compared in each round, so a server that has lost counts gets them again.
 */
export class SharedUsage {
  readonly #valkey: Pick<Valkey, 'counts' | 'setCount'>;
  readonly #relayId: string;
  readonly #member: UsageMember;
  /** Keys whose counts are exchanged, and the number of rounds that each is followed without a connection. */
  readonly #followed = new Map<string, number>();
  /** Keys whose stored counts of this month were adopted. From then on, the server has only what this process stored. */
  readonly #adopted = new Set<string>();
  #month = '';

  constructor(valkey: Pick<Valkey, 'counts' | 'setCount'>, relayId: string, member: UsageMember) {
    this.#valkey = valkey;
    this.#relayId = relayId;
    this.#member = member;
  }

  /** Follows a key with a quota until its counts are stored, even if it leaves before the next round. */
  follow(key: string): void {
    this.#followed.set(key, 0);
    if (this.#followed.size > MOST_KEYS) this.#followed.delete(this.#followed.keys().next().value!);
  }

  /** Makes one exchange with the relays of these ids. Rejects when the server fails; the next call continues. */
  async exchange(others: readonly string[]): Promise<void> {
    const { day } = this.#member;
    const month = day.slice(0, 7);
    if (month !== this.#month) this.#adopted.clear();
    this.#month = month;
    for (const key of this.#member.keysWithQuota()) this.follow(key);
    const keys = [...this.#followed.keys()];
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      await this.#exchange(keys.slice(at, at + KEYS_AT_ONCE), [this.#relayId, ...others], day, month);
    }
  }

  /** The same for some keys; the first of `relays` is this one. */
  async #exchange(keys: readonly string[], relays: readonly string[], day: string, month: string): Promise<void> {
    const counts = await this.#valkey.counts(
      keys.flatMap((key) => relays.flatMap((relay) => [nameOf(day, relay, key), nameOf(month, relay, key)])),
    );
    const width = 2 * relays.length;
    await Promise.all(
      keys.map(async (key, i) => {
        const [dayBytes = 0, monthBytes = 0, ...ofOthers] = counts.slice(i * width, (i + 1) * width);
        const sum = (period: 0 | 1): number => ofOthers.filter((_, j) => j % 2 === period).reduce((a, b) => a + b, 0);
        this.#member.setOthers(key, sum(0), sum(1));
        await this.#store(key, { dayBytes, monthBytes }, day, month);
      }),
    );
    this.#member.changed(keys);
  }

  /** Stores the counts of a key that the server does not have. */
  async #store(key: string, stored: KeyUsage, day: string, month: string): Promise<void> {
    if (!this.#adopted.has(key)) {
      this.#member.adopt(key, stored);
      this.#adopted.add(key);
    }
    // A new day began meanwhile: these names are over.
    if (this.#member.day !== day) return;
    const { dayBytes, monthBytes } = this.#member.own(key);
    if (dayBytes === stored.dayBytes && monthBytes === stored.monthBytes) {
      const rounds = this.#followed.get(key) ?? 0;
      if (rounds < ROUNDS_AFTER_END) this.#followed.set(key, rounds + 1);
      else this.#followed.delete(key);
      return;
    }
    await this.#valkey.setCount(nameOf(day, this.#relayId, key), dayBytes, DAY_SECONDS);
    await this.#valkey.setCount(nameOf(month, this.#relayId, key), monthBytes, MONTH_SECONDS);
  }
}

function nameOf(period: string, relay: string, key: string): string {
  return `${period}:${relay}:${key}`;
}
