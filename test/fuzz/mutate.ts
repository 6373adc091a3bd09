import type { Random } from './random.ts';

/** One change of bytes: from `at` on, `cut` bytes are replaced by `put` (hex). */
export interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly put: string;
}

const TELLING_BYTES = [0, 0xff, 0x0d, 0x0a, 0x3a, 0x20, 0x80, 0x7f, 0x7b, 0x22];
const TELLING_LENGTHS = [
  0, 1, 31, 32, 33, 65_535, 65_536, 65_568, 65_569, 0x40000, 0x40001, 0x100000, 0x7fffffff, 0xffffffff,
];

/** Returns one to four changes for `length` bytes. */
export function edits(random: Random, length: number): Edit[] {
  return Array.from({ length: 1 + random.below(4) }, () => edit(random, length));
}

function edit(random: Random, length: number): Edit {
  const at = random.below(length);
  switch (random.below(7)) {
    case 0:
      return { at, cut: 1, put: random.bytes(1).toString('hex') };
    case 1:
      return { at, cut: 1, put: Buffer.of(random.pick(TELLING_BYTES)).toString('hex') };
    case 2:
      return { at, cut: length, put: '' };
    case 3:
      return { at, cut: 1 + random.below(8), put: '' };
    case 4:
      return { at, cut: 0, put: random.bytes(1 + random.below(16)).toString('hex') };
    case 5: {
      const put = Buffer.alloc(4);
      put.writeUInt32BE(random.pick(TELLING_LENGTHS));
      return { at, cut: 4, put: put.toString('hex') };
    }
    default:
      return { at, cut: 0, put: Buffer.alloc(1 + random.below(300), random.pick(TELLING_BYTES)).toString('hex') };
  }
}

/** Applies the changes to a copy of `bytes`, in order. */
export function applyEdits(bytes: Buffer, changes: readonly Edit[]): Buffer {
  let result = bytes;
  for (const { at, cut, put } of changes) {
    const from = Math.min(at, result.length);
    result = Buffer.concat([result.subarray(0, from), Buffer.from(put, 'hex'), result.subarray(from + cut)]);
  }
  return result;
}
