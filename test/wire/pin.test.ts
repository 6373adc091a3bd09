import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatPin, parsePin, pinOf } from '../../src/wire/pin.ts';

const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('pin', () => {
  it('§8.3: is the lowercase hex SHA-256 of the bytes', () => assert.equal(pinOf(Buffer.alloc(0)), EMPTY));

  it('goes into CertName and comes out again', () => {
    assert.equal(formatPin(EMPTY), `sha256-raw:${EMPTY}`);
    assert.equal(parsePin(formatPin(EMPTY)), EMPTY);
    assert.equal(parsePin(`sha256-raw:${EMPTY.toUpperCase()}`), EMPTY);
  });

  it('is not read from other names', () => {
    for (const text of ['', 'relay.example', 'sha256-raw:', `sha256-raw:${EMPTY}0`, `SHA256-RAW:${EMPTY}`, EMPTY]) {
      assert.equal(parsePin(text), null);
    }
  });
});
