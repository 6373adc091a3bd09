/**
 * A time at which this version existed already, milliseconds since 1970: an earlier clock is wrong. It is a
 * constant of the sources because every form of towpath has those: npm and container images give all files one old
 * date, and the executable has no files. `npm version` writes it anew (scripts/set-build-date.ts).
 */
export const BUILD_DATE_MS: number = Date.UTC(2026, 10, 24);
