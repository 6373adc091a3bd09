/**
 * Requests of the control server to the node (c2n): HTTP in the payload of a ping. A peer relay has nothing that they could
 * show or change, and says so in the form in which clients of this capability version say it.
 */

/** Of a request, packed in base64 as it comes and as plain bytes. */
const PAYLOAD_BYTES = 64 * 1024;
const REQUEST_LINE = /^([A-Z]{1,10}) (\/[^\s?]{0,100})(?:\?\S*)? HTTP\/1\.[01]\r\n/;
const LINE_BYTES = 512;
const HEAD_END = '\r\n\r\n';

/** What the consoles of Tailscale ask for, by path: the method, and what a node without that feature answers. */
const WITHOUT_FEATURE: ReadonlyMap<string, { readonly methods: readonly string[]; readonly answer: object }> = new Map([
  [
    '/update',
    {
      methods: ['GET', 'POST'],
      answer: {
        Err: 'this node is a peer relay of towpath, which is updated on its machine',
        Enabled: false,
        Supported: false,
        Started: false,
      },
    },
  ],
  ['/posture/identity', { methods: ['GET'], answer: { PostureDisabled: true } }],
  ['/vip-services', { methods: ['GET'], answer: { ServicesHash: '' } }],
  ['/appconnector/routes', { methods: ['GET'], answer: { Domains: {} } }],
]);

/**
 * The bytes of the HTTP answer to a request in base64. `/echo` gives its body back, which shows that the node is there;
 * a path that is not known gets status 400, and a known one with another method 405. Never throws.
 */
export function answerNodeRequest(payload: string | null): Buffer {
  const request = Buffer.from((payload ?? '').slice(0, 2 * PAYLOAD_BYTES), 'base64').subarray(0, PAYLOAD_BYTES);
  const headEnd = request.indexOf(HEAD_END);
  const [, method = '', path = ''] = REQUEST_LINE.exec(request.toString('latin1', 0, LINE_BYTES)) ?? [];
  if (headEnd < 0 || path === '')
    return httpAnswer('400 Bad Request', 'text/plain', 'this is not a request of HTTP/1\n');
  if (path === '/echo') return httpAnswer('200 OK', 'text/plain', request.subarray(headEnd + HEAD_END.length));
  const known = WITHOUT_FEATURE.get(path);
  if (known === undefined)
    return httpAnswer('400 Bad Request', 'text/plain', 'unknown path: this node is a peer relay\n');
  if (!known.methods.includes(method))
    return httpAnswer('405 Method Not Allowed', 'text/plain', `the method is ${known.methods.join(' or ')}\n`);
  return httpAnswer('200 OK', 'application/json', JSON.stringify(known.answer));
}

function httpAnswer(status: string, type: string, content: string | Buffer): Buffer {
  const body = Buffer.from(content);
  const head = `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}${HEAD_END}`;
  return Buffer.concat([Buffer.from(head), body]);
}
