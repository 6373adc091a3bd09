const INSIDE = /[/\\](?:\$bunfs|~BUN)[/\\]/;

/** Whether a path or URL is of a file inside a compiled executable of Bun. */
export function isInsideExecutable(path: string): boolean {
  return INSIDE.test(path);
}
