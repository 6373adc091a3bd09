/** How long the end waits for what other threads do: a file that is being written, a name that is being looked up. */
const THREADS_MS = 1000;
const LOOK_MS = 20;
/** Work in the threads of Node. */
const THREAD_WORK = /^(?:FSReq|GetAddrInfo|GetNameInfo)/;

/** Ends the process with `code` when its other threads are done, a second from now at the latest. */
export function endProcess(code: number): void {
  const startedAt = performance.now();
  const look = (): void => {
    if (hasThreadWork() && performance.now() - startedAt < THREADS_MS) setTimeout(look, LOOK_MS);
    else endProcessNow(code);
  };
  look();
}

/**
 * Ends the process with `code`. The exit of Node joins its threads: a lookup by a name server that does not answer, or a
 * write that blocks, would hold it up for as long as that takes. Another program in its place has no such threads.
 */
export function endProcessNow(code: number): never {
  if (process.execve !== undefined && !('bun' in process.versions) && hasThreadWork()) {
    process.execve(process.execPath, [process.execPath, '-e', `process.exit(${code})`], {});
  }
  process.exit(code);
}

function hasThreadWork(): boolean {
  // Bun has no such list, and its exit waits for nobody.
  return process.getActiveResourcesInfo().some((name) => THREAD_WORK.test(name));
}
