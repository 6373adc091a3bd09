/** Waits for `step`, but not longer than `ms` milliseconds; rejects when it does before that. */
export async function withinTime(step: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  try {
    await Promise.race([step, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
