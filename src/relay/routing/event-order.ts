/** Numbers what happens to connections of one key, so that all who hear of it agree on what came first. */
export interface EventOrder {
  /** A number above 0 that is larger than all that were given before. */
  next(): number;
}

/** The order of events in one thread. */
export class LocalOrder implements EventOrder {
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}
