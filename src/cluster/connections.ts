/** One connection of a key, as a relay tells the others of it. */
export interface OpenConnection {
  readonly ip: string;
  readonly port: number;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
}

/** What one relay says of its connections of a key: when they were opened, and until when to believe it. */
export function encodeOpened(connections: readonly OpenConnection[], until: number): string {
  return [until, ...connections.map(({ openedAt }) => openedAt)].join(' ');
}

/** When the connections of others were opened; none when what they said is too old. */
export function decodeOpened(text: string, now: number): number[] {
  const [until = 0, ...opened] = text.split(' ').map(Number);
  return until > now ? opened.filter(Number.isFinite) : [];
}

/**
 * The connections of ours that have to go, so that the region has `limit` of a key at most. The newest stay, as within one
 * relay; of those that were opened in the same millisecond, ours.
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
