/** Where a value comes from. */
export type Origin =
  | { readonly kind: 'default' }
  /** A default that follows from other keys; `from` says which. */
  | { readonly kind: 'computed'; readonly from: string }
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column?: number }
  | { readonly kind: 'env'; readonly name: string }
  /** `name` has no dashes. */
  | { readonly kind: 'flag'; readonly name: string };

/** Returns an origin as text: `default`, `towpath.yaml:3`, `env TOWPATH_LISTEN` or `flag --listen`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case 'default':
      return 'default';
    case 'computed':
      return `default: ${origin.from}`;
    case 'file':
      return `${origin.file}:${origin.line}${origin.column === undefined ? '' : `:${origin.column}`}`;
    case 'env':
      return `env ${origin.name}`;
    case 'flag':
      return `flag --${origin.name}`;
  }
}
