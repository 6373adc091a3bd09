import { sourcePath } from '../base/ip-prefix.ts';

/** Addresses of which it is known when they had a turn last. */
const REMEMBERED_TURNS = 4096;

/** Somebody for whom a request is to be made. */
export interface Applicant {
  /** Where it comes from. */
  readonly ip: string;
  /** Its key was admitted lately: it goes before all who are not known. */
  readonly isKnown: boolean;
  /** Nobody waits for the answer any more. */
  readonly isOver: () => boolean;
}

/** `full`: others need the place more. `over`: nobody waits any more. */
export type Admittance = 'go' | 'full' | 'over';

/** One that waits. */
interface Place {
  readonly applicant: Applicant;
  readonly source: string;
  /** The site of an IPv6 address; otherwise the source. */
  readonly site: string;
  readonly settle: (admittance: Admittance) => void;
}

/**
 * Lets a bounded number of requests run at one time; a bounded number waits. Keys that are known go first, in order.
 * Of the others that address goes first which had its turn the longest ago, so that one that comes for the first time
 * waits for nobody who floods. When all places are taken, the address that holds most of them loses its oldest. An
 * address is an IPv4 address or an IPv6 /64, and those of one /48 are taken together first.
 */
export class WaitingPlaces {
  readonly #limit: number;
  readonly #placesLimit: number;
  readonly #known = new Set<Place>();
  readonly #others = new Set<Place>();
  /** How many of the others each source and each site holds. */
  readonly #held = new Map<string, number>();
  /** When each source and each site had its last turn, oldest first. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #running = 0;

  /** `limit` requests run and `places` more wait, and as many again that are known. */
  constructor(limit: number, places: number) {
    this.#limit = limit;
    this.#placesLimit = places;
  }

  /** How many wait. */
  get size(): number {
    return this.#known.size + this.#others.size;
  }

  /** Resolves when the request may be made, with `go`, or when it is not to be made. After `go`, call `leave`. */
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

  /** Hands the turn on. */
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

  /** Takes a place from those that nobody waits in, or from the site and in it the source that holds most. */
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
