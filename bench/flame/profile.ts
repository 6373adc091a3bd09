/** The part of Chrome's .cpuprofile that is read here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The owner of the code of a frame. */
export const Owner = {
  Relay: 'towpath',
  Dependency: 'dependencies',
  Node: "Node's JavaScript",
  Native: 'native calls from JavaScript (writes: encryption and system call; copies)',
  Runtime: 'outside of JavaScript (reads: system call and decryption, loop)',
  Collector: 'garbage collector',
} as const;
export type Owner = (typeof Owner)[keyof typeof Owner];

/** A frame with the frames that it called. Equal frames with equal callers are one. */
export interface Frame {
  readonly name: string;
  readonly owner: Owner;
  /** Microseconds in the frame itself, and in total with the frames that it called. */
  selfUs: number;
  totalUs: number;
  readonly children: Map<string, Frame>;
}

/** Returns the calls of a profile as a tree, without idle time. `checkout` is removed from file names. */
export function callTree(profile: CpuProfile, checkout: string): Frame {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap(({ id, children }) => (children ?? []).map((child) => [child, id])));
  const root: Frame = { name: 'all', owner: Owner.Runtime, selfUs: 0, totalUs: 0, children: new Map() };
  profile.samples.forEach((id, index) => {
    const us = Math.max(profile.timeDeltas[index + 1] ?? 0, 0);
    const path: CpuProfile['nodes'][number][] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const node = nodes.get(at);
      if (node !== undefined && node.callFrame.functionName !== '(root)') path.unshift(node);
    }
    if (path.at(-1)?.callFrame.functionName === '(idle)') return;
    let frame = root;
    root.totalUs += us;
    for (const { callFrame } of path) {
      frame = childOf(frame, callFrame, checkout);
      frame.totalUs += us;
    }
    frame.selfUs += us;
  });
  return root;
}

/** Returns the share of the self time of each owner, from 0 to 1. */
export function sharesByOwner(root: Frame): Map<Owner, number> {
  const shares = new Map<Owner, number>(Object.values(Owner).map((owner) => [owner, 0]));
  const visit = (frame: Frame): void => {
    shares.set(frame.owner, (shares.get(frame.owner) ?? 0) + frame.selfUs / root.totalUs);
    frame.children.forEach(visit);
  };
  visit(root);
  return shares;
}

/** Returns the functions with the most self time over all callers, with their shares from 0 to 1. */
export function heaviest(root: Frame, count: number): (readonly [name: string, share: number])[] {
  const self = new Map<string, number>();
  const visit = (frame: Frame): void => {
    self.set(frame.name, (self.get(frame.name) ?? 0) + frame.selfUs / root.totalUs);
    frame.children.forEach(visit);
  };
  visit(root);
  return [...self].sort((a, b) => b[1] - a[1]).slice(0, count);
}

function childOf(parent: Frame, call: CpuProfile['nodes'][number]['callFrame'], checkout: string): Frame {
  const where = call.url === '' ? '' : ` ${shortUrl(call.url, checkout)}:${call.lineNumber + 1}`;
  const name = `${call.functionName === '' ? '(anonymous)' : call.functionName}${where}`;
  const known = parent.children.get(name);
  if (known !== undefined) return known;
  const made: Frame = { name, owner: ownerOf(call), selfUs: 0, totalUs: 0, children: new Map() };
  parent.children.set(name, made);
  return made;
}

function shortUrl(url: string, checkout: string): string {
  return url.replace(`file://${checkout}/`, '').replace(/^.*\/node_modules\//, '');
}

function ownerOf({ functionName, url }: { functionName: string; url: string }): Owner {
  if (functionName === '(garbage collector)') return Owner.Collector;
  if (functionName === '(program)') return Owner.Runtime;
  if (url.startsWith('node:')) return Owner.Node;
  if (url.includes('/node_modules/')) return Owner.Dependency;
  return url === '' ? Owner.Native : Owner.Relay;
}
