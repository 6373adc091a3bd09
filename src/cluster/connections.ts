/** One connection of a key, as relays send it to each other. */
export interface OpenConnection {
  readonly ip: string;
  readonly port: number;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
}

/** Encodes a relay's connections of a key: their opening times, and until when the record is valid. */
export function encodeOpened(connections: readonly OpenConnection[], until: number): string {
  return [until, ...connections.map(({ openedAt }) => openedAt)].join(' ');
}

/** Decodes the opening times of a relay's connections; empty when the record is no longer valid. */
export function decodeOpened(text: string, now: number): number[] {
  const [until = 0, ...opened] = text.split(' ').map(Number);
  return until > now ? opened.filter(Number.isFinite) : [];
}

/**
 * Returns our connections that must end, so that the region has at most `limit` of a key. The newest stay, as within
 * one relay. Of connections opened in the same millisecond, ours stay.
 */
export function crowdedOut(
  ours: readonly OpenConnection[],
  others: readonly number[],
  limit: number,
): readonly OpenConnection[] {
  const newestFirst = [...ours].sort((a, b) => b.openedAt - a.openedAt);
  return newestFirst.filter((connection, i) => {
    const newer = others.filter((openedAt) => openedAt > connection.openedAt).length;
    return i + newer >= limit;
  });
}
