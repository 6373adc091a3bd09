import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEY_WORDS, KeyTable } from '../../../src/relay/routing/key-words.ts';

const KEYS = 4096;

class Hashes extends KeyTable {
  of(key: Buffer): number {
    return this.hashAt(this.viewOfKey(key), 0);
  }

  ofWords(key: Buffer): number {
    const words = Int32Array.from({ length: KEY_WORDS + 1 }, (_, i) => (i === 0 ? 0 : key.readInt32LE((i - 1) * 4)));
    return this.hashOf(words, 1);
  }
}

/** Keys that differ in one word, and there in its low or in its high bits. */
function alike(word: number, shift: number): Buffer[] {
  return Array.from({ length: KEYS }, (_, n) => {
    const key = Buffer.alloc(32, 0xa5);
    key.writeInt32LE(n << shift, word * 4);
    return key;
  });
}

for (const shift of [0, 20]) {
  test(`keys that differ in one word only, from bit ${shift} on, are spread over the table`, () => {
    const hashes = new Hashes();
    for (let word = 0; word < KEY_WORDS; word++) {
      const keys = alike(word, shift);
      // With random hashes, the fullest of 4096 slots has about 7 of 4096 keys.
      const slots = new Uint16Array(KEYS);
      for (const key of keys) slots[hashes.of(key) & (KEYS - 1)]!++;
      assert.ok(Math.max(...slots) <= 32, `word ${word}: ${Math.max(...slots)} keys have one slot`);
    }
  });
}

test('a key in a buffer and the same key as words have the same hash, and tables have different ones', () => {
  const [one, other] = [new Hashes(), new Hashes()];
  const keys = alike(3, 7);
  for (const key of keys) assert.equal(one.of(key), one.ofWords(key));
  assert.ok(keys.filter((key) => one.of(key) === other.of(key)).length < 10);
});
