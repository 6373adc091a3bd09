/**
 * Returns the keys whose values differ between two configurations, as dotted paths in the order of the first, for
 * example `fairness.perClient.bytesPerSecond`. A list is one value. The values, which may be secret, are not returned.
 */
export function changedKeys(before: object, after: object): string[] {
  const changed: string[] = [];
  compare('', before, after, changed);
  return changed;
}

function compare(path: string, before: unknown, after: unknown, changed: string[]): void {
  if (isRecord(before) && isRecord(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(path === '' ? key : `${path}.${key}`, before[key], after[key], changed);
    }
  } else if (JSON.stringify(before) !== JSON.stringify(after)) {
    changed.push(path);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
