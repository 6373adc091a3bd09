import { parseKeyList } from '../../src/admission/key-list.ts';
import { ResponseStart } from '../../src/client/response-head.ts';
import { onOneLine } from '../../src/base/errors.ts';
import { splitTarget } from '../../src/http/pages.ts';
import { hostOf, httpsTarget } from '../../src/http/https-target.ts';
import { parseRequestHead } from '../../src/wire/request-head.ts';
import { printable } from '../../src/base/printable.ts';
import { parseClientHello } from '../../src/wire/client-hello.ts';
import { parseDerpMap } from '../../src/derp-map/derp-map.ts';
import { forwardedClient } from '../../src/wire/forwarded.ts';
import { FrameDecoder, HeaderVerdict } from '../../src/wire/frame-decoder.ts';
import { GatheredBytes } from '../../src/wire/gathered-bytes.ts';
import { parseHuJson } from '../../src/derp-map/hujson.ts';
import { parseForeignJson } from '../../src/wire/json.ts';
import { parseProxyHeader } from '../../src/wire/proxy-header.ts';
import { isBindingRequest, parseBindingResponse } from '../../src/wire/stun.ts';

/** One parser with one kind of hostile input. */
export interface ParserCase {
  readonly title: string;
  /** The largest input that the relay or its tools accept, in bytes. */
  readonly largestBytes: number;
  /** Makes an input of about this many bytes; the returned function parses it once. */
  readonly prepare: (bytes: number) => () => unknown;
}

const HEAD_BYTES = 65_536;
const PROXY_BYTES = 4112;
const HELLO_BYTES = 16_384;
const RESPONSE_BYTES = 16_384;
const STUN_BYTES = 65_535;
const LINE_BYTES = 65_536;
const FILE_BYTES = 262_144;
/**
 * Up to eight times this. Of a map, 4 MiB are read: there the library's string of each space costs V8's collector some
 * 50 ns, measured flat from 2 to 32 MiB.
 */
const HUJSON_BYTES = 65_536;
const GET = 'GET / HTTP/1.1\r\n';

/** Returns `unit`, repeated up to `bytes` bytes. */
function filled(unit: string, bytes: number): string {
  return unit.repeat(Math.max(1, Math.floor(bytes / unit.length)));
}

function text(
  title: string,
  largestBytes: number,
  unit: string,
  parse: (input: string) => unknown,
  wrap: (body: string) => string = (body) => body,
): ParserCase {
  return {
    title: `${title}: ${JSON.stringify(unit)}`,
    largestBytes,
    prepare: (bytes) => {
      // One piece, as from a read buffer, so that joining pieces is not measured.
      const input = Buffer.from(wrap(filled(unit, bytes))).toString();
      return () => attempt(() => parse(input));
    },
  };
}

/** Runs the parser; an error is a result too. */
function attempt(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    return error;
  }
}

/** Calls `push` for each byte, as for a peer that sends single bytes. */
function byteByByte(input: Buffer, push: (buffer: Buffer, from: number, to: number) => boolean): void {
  for (let at = 0; at < input.length; at++) if (!push(input, at, at + 1)) return;
}

function requestHeads(): ParserCase[] {
  const head = (unit: string, wrap: (body: string) => string): ParserCase =>
    text('request head', HEAD_BYTES, unit, parseRequestHead, wrap);
  return [
    head(' ', (body) => `${GET}a:${body}\nx`),
    head(' ', (body) => `${GET}a:b${body}c`),
    head('\t', (body) => `${GET}a:${body}`),
    head('\r', (body) => `${GET}a:${body}`),
    head('\n', (body) => `${GET}a:${body}`),
    head(':', (body) => `${GET}a${body}`),
    head('a:\r\n', (body) => `${GET}${body}a:`),
    head('x-forwarded-for: 1.1.1.1, \r\n', (body) => `${GET}${body}a:`),
    head('a', (body) => `${GET}${body}`),
    head('a', (body) => body),
    head('/', (body) => `GET ${body} HTTP/1.1`),
    head('GET ', (body) => body),
    {
      title: 'request head: byte by byte',
      largestBytes: HEAD_BYTES,
      prepare: (bytes) => {
        const input = Buffer.from(filled('a: b\r\n', bytes), 'latin1');
        return () => {
          const gathered = new GatheredBytes();
          byteByByte(input, (buffer, from, to) => {
            const before = gathered.length;
            gathered.add(buffer, from, to);
            return gathered.bytes.indexOf('\r\n\r\n', Math.max(0, before - 3), 'latin1') < 0;
          });
        };
      },
    },
  ];
}

function http(): ParserCase[] {
  const trusted = (ip: string): boolean => ip.startsWith('10.');
  return [
    ...['10.0.0.1,', ' ', ',', '[', ':', '1.'].map((unit) =>
      text('X-Forwarded-For', HEAD_BYTES, unit, (value) => forwardedClient('x-forwarded-for', value, trusted)),
    ),
    ...['for=10.0.0.1,', 'for="', ';for=', '\\', '"\\', '"', ' ', ' ;', 'for=";'].map((unit) =>
      text('Forwarded', HEAD_BYTES, unit, (value) => forwardedClient('forwarded', value, trusted)),
    ),
    ...['a', 'a-', 'a.', ':', '[', '.', '-'].map((unit) => text('Host', HEAD_BYTES, unit, hostOf)),
    ...['/', '\xff', '?', 'http://'].map((unit) =>
      text('target', HEAD_BYTES, unit, (target) => {
        const { path, query } = splitTarget(`/${target}`);
        return httpsTarget('x', 443, path, query);
      }),
    ),
    {
      title: 'response head: byte by byte',
      largestBytes: RESPONSE_BYTES,
      prepare: (bytes) => {
        const input = Buffer.from(`HTTP/1.1 200 OK\r\n${filled('a: \r', bytes)}`, 'latin1');
        return () =>
          attempt(() => {
            const start = new ResponseStart();
            byteByByte(input, (buffer, from, to) => {
              start.push(buffer, from, to);
              return start.take() === null;
            });
          });
      },
    },
    text('response head', RESPONSE_BYTES, 'a: b\r\n', (lines) => {
      const start = new ResponseStart();
      const input = Buffer.from(`HTTP/1.1 200 OK\r\n${lines}\r\n`, 'latin1');
      start.push(input, 0, input.length);
      return start.take();
    }),
  ];
}

function beforeTls(): ParserCase[] {
  const proxyBytes = (input: Buffer): void => {
    const gathered = new GatheredBytes();
    byteByByte(input, (buffer, from, to) => {
      gathered.add(buffer, from, to);
      return parseProxyHeader(gathered.bytes, 0, gathered.length).kind === 'more';
    });
  };
  return [
    ...['PROXY ', ' ', '1', '\r'].map((unit) =>
      text('PROXY', PROXY_BYTES, unit, (line) => {
        const input = Buffer.from(`PROXY TCP4 ${line}`, 'latin1');
        return parseProxyHeader(input, 0, input.length);
      }),
    ),
    {
      title: 'PROXY version 2: byte by byte',
      largestBytes: PROXY_BYTES,
      prepare: (bytes) => {
        const body = Math.min(bytes, PROXY_BYTES) - 16;
        const header = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
        header.writeUInt16BE(body, 14);
        const input = Buffer.concat([header, Buffer.alloc(body)]);
        return () => proxyBytes(input);
      },
    },
    hello('many extensions', Buffer.from('7a7a0000', 'hex')),
    hello('many lists of protocols', Buffer.from('0010000400020161', 'hex')),
    hello('many server names', Buffer.from('0000000600040000', 'hex')),
    {
      title: 'ClientHello: byte by byte',
      largestBytes: HELLO_BYTES,
      prepare: (bytes) => {
        const input = clientHello(Buffer.from('7a7a0000', 'hex'), Math.min(bytes, HELLO_BYTES));
        return () => {
          const gathered = new GatheredBytes();
          byteByByte(input, (buffer, from, to) => {
            gathered.add(buffer, from, to);
            return parseClientHello(gathered.bytes).kind === 'more';
          });
        };
      },
    },
  ];
}

function hello(what: string, unit: Buffer): ParserCase {
  return {
    title: `ClientHello: ${what}`,
    largestBytes: HELLO_BYTES,
    prepare: (bytes) => {
      const input = clientHello(unit, bytes);
      return () => parseClientHello(input);
    },
  };
}

/** A ClientHello of about this many bytes that repeats the extension `unit`, in one record. */
function clientHello(unit: Buffer, bytes: number): Buffer {
  const extensions = Buffer.alloc(
    Math.max(1, Math.floor((Math.min(bytes, 65_000) - 60) / unit.length)) * unit.length,
    unit,
  );
  const body = Buffer.concat([Buffer.alloc(34), Buffer.from('0000021301010000', 'hex'), extensions]);
  body.writeUInt16BE(extensions.length, 40);
  const head = Buffer.from('160301000001000000', 'hex');
  head.writeUInt16BE(body.length + 4, 3);
  head.writeUIntBE(body.length, 6, 3);
  return Buffer.concat([head, body]);
}

function documents(): ParserCase[] {
  const json = (input: string): unknown => parseForeignJson(Buffer.from(input));
  return [
    ...['[', '{"a":', '[1,', '" ', '\\', ' ', '1'].map((unit) => text('JSON', FILE_BYTES, unit, json)),
    ...['"allow":1', '"\\u0041":1', '" ": 1', '"a": {"Allow":1}'].map((entry) => ({
      title: `JSON with a decisive key: ${entry}`,
      largestBytes: FILE_BYTES,
      prepare: (bytes: number) => {
        const input = Buffer.from(`{"b":[${`{${entry}},`.repeat(bytes / (entry.length + 3))}0]}`);
        return () => parseForeignJson(input, ['Allow']);
      },
    })),
    ...['[', '{"a":', '// x\n', '/*', '\n', ' ', '"a', ',', '[1,', '/* */'].map((unit) =>
      text('HuJSON', HUJSON_BYTES, unit, (input) => parseHuJson(input)),
    ),
    ...['\n', '#', ' ', '\r', `nodekey:${'0'.repeat(64)}\n`, '# x\n', '\t#'].map((unit) =>
      text('key list', FILE_BYTES, unit, (input) => parseKeyList(input, 'keys')),
    ),
    {
      title: 'DERP map: many nodes',
      largestBytes: FILE_BYTES,
      prepare: (bytes) => {
        const Nodes = Array.from({ length: Math.floor(bytes / 64) }, (_, i) => ({ Name: `n${i}`, HostName: 'a.test' }));
        const map = { Regions: { 1: { RegionID: 1, Nodes } } };
        return () => parseDerpMap(map);
      },
    },
    {
      title: 'DERP map: many regions',
      largestBytes: FILE_BYTES,
      prepare: (bytes) => {
        const regions = Array.from({ length: Math.floor(bytes / 64) }, (_, i) => [i + 1, { RegionID: i + 1 }] as const);
        const map = { Regions: Object.fromEntries(regions) };
        return () => parseDerpMap(map);
      },
    },
  ];
}

function others(): ParserCase[] {
  return [
    ...[' ', '\n', ' \n', '\r', 'a \r'].map((unit) => text('one line', LINE_BYTES, unit, onOneLine)),
    ...['\x1b[', '\u202e', 'a'].map((unit) => text('printable', LINE_BYTES, unit, printable)),
    {
      title: 'frames: byte by byte',
      largestBytes: FILE_BYTES,
      prepare: (bytes) => {
        const input = Buffer.alloc(bytes, Buffer.from('7f00000001ff', 'hex'));
        return () => {
          const decoder = new FrameDecoder({ header: () => HeaderVerdict.Take, frame: () => undefined });
          byteByByte(input, (buffer, from, to) => {
            decoder.push(buffer, from, to);
            return true;
          });
        };
      },
    },
    {
      title: 'STUN: many attributes',
      largestBytes: STUN_BYTES,
      prepare: (bytes) => {
        const input = Buffer.alloc(20 + (Math.min(bytes, STUN_BYTES - 40) & ~3), Buffer.from('80ff0000', 'hex'));
        Buffer.from('000100002112a442', 'hex').copy(input);
        input.writeUInt16BE(input.length - 20, 2);
        return () => [isBindingRequest(input, 0, input.length), parseBindingResponse(input, 0, input.length)];
      },
    },
  ];
}

/** Every parser of data from strangers, with inputs that are slow if a parser reads a byte more than once. */
export const PARSER_CASES: readonly ParserCase[] = [
  ...requestHeads(),
  ...http(),
  ...beforeTls(),
  ...documents(),
  ...others(),
];
