import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { derpFacts, parseRequestHead, type RequestHead, upgradeOf } from '../../src/wire/request-head.ts';

function lines(...all: string[]): string {
  return all.join('\r\n');
}

function parsed(text: string): RequestHead {
  const head = parseRequestHead(text);
  assert.ok(!('status' in head), JSON.stringify(head));
  return head;
}

function status(text: string): number {
  const head = parseRequestHead(text);
  return 'status' in head ? head.status : 200;
}

const GET = 'GET /derp HTTP/1.1';
const UPGRADE = ['Host: x', 'Connection: Upgrade', 'Upgrade: DERP'];

describe('request head', () => {
  it('has a method, a target and headers', () => {
    const head = parsed(lines('GET /derp?x HTTP/1.1', 'HOST:\t relay.test \t', 'A:', 'X-Y: a: b', 'B: \xe4\xff'));
    assert.deepEqual([head.method, head.target], ['GET', '/derp?x']);
    assert.deepEqual(
      [...head.headers],
      [
        ['host', 'relay.test'],
        ['a', ''],
        ['x-y', 'a: b'],
        ['b', '\xe4\xff'],
      ],
    );
    assert.equal(parsed('GET / HTTP/1.0').headers.size, 0);
  });

  it('joins the values of repeated headers, as a list over several lines is meant', () => {
    const head = parsed(
      lines(GET, 'X-Forwarded-For: 1.1.1.1', 'Sec-WebSocket-Protocol: chat', 'x-forwarded-for: 2.2.2.2'),
    );
    assert.equal(head.headers.get('x-forwarded-for'), '1.1.1.1, 2.2.2.2');
  });

  const refused: Record<string, string[]> = {
    'no request line': [
      '',
      'GET',
      'GET /',
      'GET  / HTTP/1.1',
      'GET / x HTTP/1.1',
      'GET /\tHTTP/1.1',
      ' GET / HTTP/1.1',
    ],
    'a broken request line': [
      'G(T / HTTP/1.1',
      'GET /\x00 HTTP/1.1',
      'GET / HTTP/1.1 ',
      'GET / http/1.1',
      'GET / HTTP/1',
    ],
    'no header': [lines(GET, ''), lines(GET, 'x'), lines(GET, ': x'), lines(GET, 'a b: x'), lines(GET, 'a : x')],
    'a folded line': [lines(GET, 'a: x', ' y'), lines(GET, ' a: x'), lines(GET, '\ta: x')],
    'control characters': ['\0', '\r', '\n', '\x0b', '\x1b', '\x7f'].map((one) => lines(GET, `a: x${one}y`)),
    'a line feed in front of another header': [lines(GET, 'a: x\nUpgrade: DERP'), `${GET}\nUpgrade: DERP`],
    'two lengths': [lines(GET, 'Content-Length: 0', 'Content-Length: 0'), lines(GET, 'Content-Length: 1, 1')],
    'a length that is none': ['', '-1', '+1', '0x1', '1 1', '1e1', '1'.repeat(16)].map((one) =>
      lines(GET, `Content-Length: ${one}`),
    ),
    'two opinions where the body ends': [
      lines(GET, 'Content-Length: 1', 'Transfer-Encoding: chunked'),
      lines(GET, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
      lines('GET / HTTP/1.0', 'Transfer-Encoding: chunked'),
    ],
    'two lines of what there is one of': [
      'Host',
      'Upgrade',
      'Derp-Fast-Start',
      'Sec-WebSocket-Key',
      'Sec-WebSocket-Version',
    ].map((name) => lines(GET, `${name}: x`, `${name}: x`)),
    'an upgrade with a body': [
      lines(GET, ...UPGRADE, 'Content-Length: 1'),
      lines(GET, ...UPGRADE, 'Transfer-Encoding: chunked'),
      lines(GET, 'Upgrade: websocket', 'Sec-WebSocket-Protocol: derp', 'Content-Length: 5'),
    ],
  };
  for (const [what, heads] of Object.entries(refused)) {
    it(`is refused with ${what}`, () => {
      for (const head of heads) assert.equal(status(head), 400, JSON.stringify(head));
    });
  }

  it('is refused in another version of HTTP, and with another transfer coding than chunked', () => {
    for (const version of ['0.9', '1.2', '2.0', '3.0']) assert.equal(status(`GET / HTTP/${version}`), 505);
    for (const coding of ['gzip', 'chunked, gzip', 'gzip, chunked', 'chunked;x', '']) {
      assert.equal(status(lines('GET / HTTP/1.1', `Transfer-Encoding: ${coding}`)), 501);
    }
    assert.equal(status(lines('POST / HTTP/1.1', 'Transfer-Encoding: CHUNKED')), 200);
  });

  it('is what it was made of, whatever that is', () => {
    const textOf = (characters: string, minLength: number): fc.Arbitrary<string> =>
      fc.string({ unit: fc.nat(characters.length - 1).map((at) => characters[at]!), minLength, maxLength: 12 });
    const token = textOf("aZ09!#$%&'*+-.^_`|~", 1);
    const value = textOf('a:,"\x80\xff', 0);
    const blanks = textOf(' \t', 0);
    const field = fc
      .tuple(fc.nat(), token, value)
      .map(([n, name, text]) => [`${n}${name}`.toLowerCase(), text] as const);
    fc.assert(
      fc.property(
        token,
        fc.uniqueArray(field, { selector: ([name]) => name }),
        blanks,
        blanks,
        (method, fields, before, after) => {
          const written = fields.map(([name, text]) => `${name.toUpperCase()}:${before}${text}${after}`);
          const head = parsed(lines(`${method} / HTTP/1.1`, ...written));
          assert.equal(head.method, method);
          assert.deepEqual([...head.headers], fields);
        },
      ),
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseRequestHead(text)));
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseRequestHead(`${GET}\r\n${text}`)));
  });
});

describe('upgrade', () => {
  const of = (first: string, ...headers: string[]): string | null => upgradeOf(parsed(lines(first, ...headers)));

  it('is for /derp alone, by the header alone', () => {
    assert.equal(of(GET, ...UPGRADE), 'derp');
    assert.equal(of('GET /derp?x=1 HTTP/1.0', 'upgrade: derp'), 'derp');
    assert.equal(of(GET, 'Upgrade: derp', 'Content-Length: 0'), 'derp');
    for (const target of ['/', '/derp/', '/DERP', '/%64erp', '//derp', '/derp#x', 'http://x/derp', 'derp', '*']) {
      assert.equal(of(`GET ${target} HTTP/1.1`, ...UPGRADE), null, target);
    }
    for (const upgrade of ['h2c', 'derp, websocket', 'derp/2', 'xderp', '']) {
      assert.equal(of(GET, `Upgrade: ${upgrade}`), null, upgrade);
    }
    assert.equal(of('CONNECT /derp HTTP/1.1', ...UPGRADE), null);
    assert.equal(of(GET), null);
  });

  it('is a WebSocket with the subprotocol, in whichever of its lines, and raw DERP without it (§1.6)', () => {
    assert.equal(of(GET, 'Upgrade: WebSocket', 'Sec-WebSocket-Protocol: derp'), 'websocket');
    assert.equal(
      of(GET, 'Upgrade: websocket', 'Sec-WebSocket-Protocol: a', 'Sec-WebSocket-Protocol: derp'),
      'websocket',
    );
    assert.equal(of(GET, 'Upgrade: websocket', 'Sec-WebSocket-Protocol: chat'), 'derp');
    assert.equal(of(GET, 'Upgrade: websocket'), 'derp');
  });

  it('says how the client starts', () => {
    const facts = (...headers: string[]) => derpFacts(parsed(lines(GET, ...headers)));
    assert.deepEqual(facts(), { fastStart: false, notIdeal: false });
    assert.deepEqual(facts('Derp-Fast-Start: 1', 'Ideal-Node: a'), { fastStart: true, notIdeal: true });
    assert.deepEqual(facts('Derp-Fast-Start: true', 'Ideal-Node: '), { fastStart: false, notIdeal: false });
  });
});
