import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isIpv6Off, listenError } from '../../../src/transport/shared/listen-errors.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(`bind ${code}`), { code });
}

describe('errors of listening', () => {
  it('a port below 1024 names the ways to be allowed', () => {
    const error = listenError('TCP', '::', 443, systemError('EACCES'));
    assert.equal(error.code, 'TOWPATH_LISTEN_DENIED');
    assert.equal(error.message, 'Cannot listen on TCP [::]:443: permission denied.');
    assert.match(error.hint ?? '', /CAP_NET_BIND_SERVICE.*socket activation/);
  });

  it('a higher port does not', () => {
    assert.doesNotMatch(listenError('UDP', '127.0.0.1', 3478, systemError('EACCES')).hint ?? '', /CAP_NET/);
  });

  it('anything else keeps its own words', () => {
    const error = listenError('UDP', '127.0.0.1', 3478, systemError('EMFILE'));
    assert.deepEqual(
      [error.code, error.message],
      ['TOWPATH_LISTEN_FAILED', 'Cannot listen on UDP 127.0.0.1:3478: bind EMFILE.'],
    );
  });

  it('only :: falls back to IPv4', () => {
    assert.ok(isIpv6Off('::', systemError('EAFNOSUPPORT')));
    assert.ok(!isIpv6Off('::1', systemError('EAFNOSUPPORT')));
    assert.ok(!isIpv6Off('::', systemError('EADDRINUSE')));
  });
});
