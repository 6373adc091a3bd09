import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { errorMessage } from '../../src/base/errors.ts';
import { openSslHint, withoutOpenSslText } from '../../src/base/openssl-text.ts';

const node = (reason: string, after = ''): string =>
  `40ADAD2E027F0000:error:0A00010B:SSL routines:tls_validate_record_header:${reason}:../deps/openssl/openssl/ssl/record/methods/tlsany_meth.c:77:${after}`;
const bun = (reason: string): string => `error:100000f7:SSL routines:OPENSSL_internal:${reason}`;

suite('errors of the TLS library', () => {
  const cases: readonly (readonly [string, string])[] = [
    [node('wrong version number'), 'the other side does not speak TLS on this port'],
    [bun('WRONG_VERSION_NUMBER'), 'the other side does not speak TLS on this port'],
    [node('http request'), 'plain HTTP came to a port with TLS'],
    [bun('HTTP_REQUEST'), 'plain HTTP came to a port with TLS'],
    [
      node('tlsv1 alert protocol version', 'SSL alert number 70'),
      'the two sides have no TLS version in common; TLS 1.2 or 1.3 is needed',
    ],
    [bun('UNSUPPORTED_PROTOCOL'), 'the two sides have no TLS version in common; TLS 1.2 or 1.3 is needed'],
    [node('no shared cipher'), 'the two sides have no cipher suite in common'],
    [bun('SSLV3_ALERT_HANDSHAKE_FAILURE'), 'the two sides have no cipher suite in common'],
    [bun('TLSV1_UNRECOGNIZED_NAME'), 'the server has no certificate for this name'],
    [bun('TLSV1_ALERT_UNKNOWN_CA'), 'the other side does not accept the certificate'],
    [node('bad extension'), 'the TLS handshake failed (bad extension)'],
    [`write EPROTO ${node('wrong version number')}`, 'the other side does not speak TLS on this port'],
    ['error:05800074:x509 certificate routines::key values mismatch', 'key values mismatch'],
  ];
  for (const [text, plain] of cases) {
    test(plain, () => {
      assert.equal(withoutOpenSslText(text), plain);
      assert.equal(errorMessage(new Error(`before: ${text}`)), `before: ${plain}`);
    });
  }

  test('say what the side that connects can do', () => {
    assert.match(openSslHint(node('wrong version number')) ?? '', /http:\/\//);
    assert.equal(openSslHint('connect ECONNREFUSED'), undefined);
  });

  test('leave all other text as it is', () => {
    assert.equal(withoutOpenSslText('error: the disk is full'), 'error: the disk is full');
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (!text.includes('error:')) assert.equal(withoutOpenSslText(text), text);
      }),
    );
  });
});
