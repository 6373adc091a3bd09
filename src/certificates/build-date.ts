/**
 * A time at which this version already existed, milliseconds since 1970: a clock before it is wrong. It is a constant
 * in the sources, because file dates cannot be used: npm and container images set them all to one old date, and the
 * executable has no files. `npm version` updates it (scripts/set-build-date.ts).
 */
export const BUILD_DATE_MS: number = Date.UTC(2026, 10, 24);
