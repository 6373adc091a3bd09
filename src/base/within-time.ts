/** Waits for `step`, at most `ms` milliseconds. Rejects when `step` rejects in that time. */
export async function withinTime(step: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  try {
    await Promise.race([step, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
