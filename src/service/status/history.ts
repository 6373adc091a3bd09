import { HISTORY_COLUMNS, type HistoryAnswer, type HistoryColumn } from '../../api/shapes.ts';

/** Time between two points. */
export const HISTORY_STEP_MS = 5000;
/** The points of one hour. */
const POINTS = 720;

/** One point of the plots. */
export type HistoryPoint = Readonly<Record<HistoryColumn, number>>;

/** The last hour in points, as columns in a ring: 12 numbers of 8 bytes for each of 720 points. */
export class History {
  readonly #time = new Float64Array(POINTS);
  readonly #columns = HISTORY_COLUMNS.map((name) => [name, new Float64Array(POINTS)] as const);
  #count = 0;

  /** Adds a point; the oldest one is forgotten when there are 720. `time` is in seconds since 1970. */
  add(time: number, point: HistoryPoint): void {
    const at = this.#count++ % POINTS;
    this.#time[at] = time;
    for (const [name, values] of this.#columns) values[at] = point[name];
  }

  /** Returns all points, the oldest first. */
  answer(): HistoryAnswer {
    const columns = this.#columns.map(([name, values]) => [name, this.#inOrder(values)] as const);
    return {
      stepSeconds: HISTORY_STEP_MS / 1000,
      time: this.#inOrder(this.#time),
      columns: Object.fromEntries(columns) as Record<HistoryColumn, number[]>,
    };
  }

  #inOrder(values: Float64Array): number[] {
    if (this.#count <= POINTS) return [...values.subarray(0, this.#count)].map(short);
    const at = this.#count % POINTS;
    return [...values.subarray(at), ...values.subarray(0, at)].map(short);
  }
}

/** Rounds to six digits, which are more than a plot shows. */
function short(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(6));
}
