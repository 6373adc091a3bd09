import type { Counters } from '../observe/counters.ts';
import type { DoorPlace } from '../relay/udp/door-places.ts';
import type { UdpDoor, UdpDoorSettings } from '../relay/udp/door.ts';
import type { Offload } from '../relay/udp/offload.ts';
import { countStunOnly } from '../relay/udp/stun-counts.ts';

export interface StunDoorParts {
  readonly counters: Counters;
  readonly openDoor: (settings: UdpDoorSettings) => Promise<UdpDoor>;
}

/** STUN requests and answers are single datagrams. */
const NO_OFFLOAD: Offload = { gro: false, gso: false, neverEqualTail: false };

/** The UDP door of a relay without a peer relay: it answers STUN, and has no endpoints. */
export class StunDoor {
  readonly #parts: StunDoorParts;
  #door: UdpDoor | null = null;
  #isSilent = false;
  #isClosed = false;

  constructor(parts: StunDoorParts) {
    this.#parts = parts;
  }

  /** Opens the ports; `::` takes both families. Rejects with a TowpathError when one cannot be opened. */
  async open(places: readonly DoorPlace[], stun: UdpDoorSettings['stun']): Promise<void> {
    if (places.length === 0) return;
    const door = await this.#parts.openDoor({
      places: places.map((place) => (place.ip === '::' && place.fd === undefined ? { ...place, isDual: true } : place)),
      skipsTaken: false,
      offload: NO_OFFLOAD,
      stun,
      rules: null,
      endpoints: 0,
    });
    if (this.#isClosed) return door.close();
    door.setSilent(this.#isSilent);
    this.#door = door;
  }

  /** Where it listens; empty while it is closed. */
  get places(): readonly DoorPlace[] {
    return this.#door?.places ?? [];
  }

  /** Stops answering, so that clients go to another relay of the region. With null it answers again. */
  setSilent(reason: string | null): void {
    this.#isSilent = reason !== null;
    this.#door?.setSilent(this.#isSilent);
  }

  /** Copies the present counts to the counters of the relay. */
  countStun(): void {
    if (this.#door !== null) countStunOnly(this.#door.counts, this.#parts.counters);
  }

  /** Closes the ports; resolves when they are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.countStun();
    const door = this.#door;
    this.#door = null;
    await door?.close();
  }
}
