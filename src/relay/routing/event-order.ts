/** Numbers the events of connections of one key, so that all threads agree on their order. */
export interface EventOrder {
  /** Returns a number above 0 that is larger than all earlier ones. */
  next(): number;
}

/** The order of events in one thread. */
export class LocalOrder implements EventOrder {
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}
