import type { Frame } from './profile.ts';

/** A profile in the file format of speedscope: https://www.speedscope.app/file-format-schema.json. */
export interface SpeedscopeFile {
  readonly $schema: string;
  readonly name: string;
  readonly exporter: string;
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
  readonly profiles: readonly [
    {
      readonly type: 'sampled';
      readonly name: string;
      readonly unit: 'microseconds';
      readonly startValue: 0;
      readonly endValue: number;
      /** Stacks as indices of `shared.frames`, the outermost first, and the time in each. */
      readonly samples: readonly (readonly number[])[];
      readonly weights: readonly number[];
    },
  ];
}

/** Returns the calls below `root` for speedscope. Each stack is there once, with all of its self time. */
export function speedscopeFile(root: Frame, title: string): SpeedscopeFile {
  const indices = new Map<string, number>();
  const samples: number[][] = [];
  const weights: number[] = [];
  const visit = (frame: Frame, callers: readonly number[]): void => {
    const index = indices.get(frame.name) ?? indices.size;
    indices.set(frame.name, index);
    const stack = [...callers, index];
    if (frame.selfUs > 0) {
      samples.push(stack);
      weights.push(frame.selfUs);
    }
    for (const child of frame.children.values()) visit(child, stack);
  };
  for (const frame of root.children.values()) visit(frame, []);
  return {
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    name: title,
    exporter: 'towpath bench:flame',
    shared: { frames: [...indices.keys()].map((name) => ({ name })) },
    profiles: [
      {
        type: 'sampled',
        name: title,
        unit: 'microseconds',
        startValue: 0,
        endValue: weights.reduce((sum, weight) => sum + weight, 0),
        samples,
        weights,
      },
    ],
  };
}
