import { sourcePath } from '../base/ip-prefix.ts';

/** Largest number of addresses whose last turn is stored. */
const REMEMBERED_TURNS = 4096;

/** A connection that needs a request. */
export interface Applicant {
  /** IP address of the client. */
  readonly ip: string;
  /** Its key was admitted recently: it goes before all unknown keys. */
  readonly isKnown: boolean;
  /** True when the answer is no longer needed. */
  readonly isOver: () => boolean;
}

/** `full`: the place was given to another one. `over`: the connection has ended. */
export type Admittance = 'go' | 'full' | 'over';

/** A waiting connection. */
interface Place {
  readonly applicant: Applicant;
  readonly source: string;
  /** The site of an IPv6 address; otherwise the source. */
  readonly site: string;
  readonly settle: (admittance: Admittance) => void;
}

/**
 * Runs a bounded number of requests at the same time; a bounded number waits. Known keys go first, in order.
 * Of the others, the address goes first whose last turn was longest ago, so that a new address
 * does not wait behind a flood. When all places are taken, the address that holds most of them loses its oldest. An
 * address is an IPv4 address or an IPv6 /64, and those of one /48 are taken together first.
 */
export class WaitingPlaces {
  readonly #limit: number;
  readonly #placesLimit: number;
  readonly #known = new Set<Place>();
  readonly #others = new Set<Place>();
  /** Number of places that each source and each site holds, known keys excluded. */
  readonly #held = new Map<string, number>();
  /** When each source and each site had its last turn, oldest first. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #running = 0;

  /** `limit` requests run, `places` more wait, and the same number of known keys. */
  constructor(limit: number, places: number) {
    this.#limit = limit;
    this.#placesLimit = places;
  }

  /** Number of waiting connections. */
  get size(): number {
    return this.#known.size + this.#others.size;
  }

  /** Resolves with `go` when the request may start, or with the reason why not. After `go`, call `leave`. */
  enter(applicant: Applicant): Promise<Admittance> {
    const path = sourcePath(applicant.ip);
    const source = path[path.length - 1]!;
    const site = path[0]!;
    if (this.#running < this.#limit) {
      this.#running++;
      this.#noteTurn(source, site);
      return Promise.resolve('go');
    }
    if (applicant.isKnown && this.#known.size >= this.#placesLimit) return Promise.resolve('full');
    if (!applicant.isKnown && this.#others.size >= this.#placesLimit) this.#makeRoom();
    return new Promise((settle) => {
      const place: Place = { applicant, source, site, settle };
      if (applicant.isKnown) this.#known.add(place);
      else this.#take(place);
    });
  }

  /** Ends a turn and starts the next one. */
  leave(): void {
    const next = this.#nextKnown() ?? this.#nextOther();
    if (next === null) {
      this.#running--;
      return;
    }
    this.#noteTurn(next.source, next.site);
    next.settle('go');
  }

  #nextKnown(): Place | null {
    for (const place of this.#known) {
      this.#known.delete(place);
      if (!place.applicant.isOver()) return place;
      place.settle('over');
    }
    return null;
  }

  #nextOther(): Place | null {
    let best: Place | null = null;
    for (const place of this.#others) {
      if (place.applicant.isOver()) this.#free(place, 'over');
      else if (best === null || this.#isBefore(place, best)) best = place;
    }
    if (best !== null) this.#remove(best);
    return best;
  }

  #isBefore(place: Place, other: Place): boolean {
    const bySite = this.#lastTurn(place.site) - this.#lastTurn(other.site);
    return bySite < 0 || (bySite === 0 && this.#lastTurn(place.source) < this.#lastTurn(other.source));
  }

  #lastTurn(name: string): number {
    return this.#turns.get(name) ?? 0;
  }

  #noteTurn(source: string, site: string): void {
    this.#turn++;
    for (const name of source === site ? [source] : [source, site]) {
      this.#turns.delete(name);
      this.#turns.set(name, this.#turn);
      if (this.#turns.size > REMEMBERED_TURNS) this.#turns.delete(this.#turns.keys().next().value!);
    }
  }

  /** Frees a place: one whose connection has ended, else one of the site that holds most, and in it of the source that holds most. */
  #makeRoom(): void {
    for (const place of this.#others) if (place.applicant.isOver()) this.#free(place, 'over');
    if (this.#others.size < this.#placesLimit) return;
    let loser: Place | null = null;
    for (const place of this.#others) if (loser === null || this.#holdsMore(place, loser)) loser = place;
    if (loser !== null) this.#free(loser, 'full');
  }

  #holdsMore(place: Place, other: Place): boolean {
    const bySite = this.#holds(place.site) - this.#holds(other.site);
    return bySite > 0 || (bySite === 0 && this.#holds(place.source) > this.#holds(other.source));
  }

  #holds(name: string): number {
    return this.#held.get(name) ?? 0;
  }

  #take(place: Place): void {
    this.#others.add(place);
    this.#count(place, 1);
  }

  #remove(place: Place): void {
    this.#others.delete(place);
    this.#count(place, -1);
  }

  #free(place: Place, admittance: Admittance): void {
    this.#remove(place);
    place.settle(admittance);
  }

  #count({ source, site }: Place, change: 1 | -1): void {
    for (const name of source === site ? [source] : [source, site]) {
      const held = this.#holds(name) + change;
      if (held === 0) this.#held.delete(name);
      else this.#held.set(name, held);
    }
  }
}
