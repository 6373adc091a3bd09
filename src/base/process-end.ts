/** How long the end waits for work of other threads, such as writing a file or looking up a name. */
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
 * Ends the process with `code`. Node's exit waits for its threads: a name server that does not answer, or a write that
 * blocks, would delay it. Replacing the process by another program (exec) does not wait.
 */
export function endProcessNow(code: number): never {
  if (process.execve !== undefined && !('bun' in process.versions) && hasThreadWork()) {
    process.execve(process.execPath, [process.execPath, '-e', `process.exit(${code})`], {});
  }
  process.exit(code);
}

function hasThreadWork(): boolean {
  // Bun has no such list, and its exit does not wait.
  return process.getActiveResourcesInfo().some((name) => THREAD_WORK.test(name));
}
