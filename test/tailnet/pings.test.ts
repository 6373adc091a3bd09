import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { NodePhase } from '../../src/tailnet/node.ts';
import type { FakeControl } from './fake-control.ts';
import { Bench, until } from './support.ts';

interface Stage {
  readonly control: FakeControl;
  /** Sends a ping and resolves when there are `answers` answers in total. */
  readonly ping: (ping: object, answers: number) => Promise<void>;
  /** The reasons why pings were not answered. */
  readonly ignored: () => string[];
}

async function open(t: TestContext): Promise<Stage> {
  const bench = await Bench.open(t);
  const { control } = bench;
  const node = bench.node();
  control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
  node.start();
  await until(node, () => node.phase === NodePhase.Online);
  return {
    control,
    ping: (ping, answers) => {
      control.broadcast({ KeepAlive: true, PingRequest: ping });
      return until(node, () => control.others.length >= answers);
    },
    ignored: () =>
      bench.lines
        .filter(({ message }) => message.includes('ping of the control server'))
        .map(({ fields }) => ('why' in fields ? String(fields.why) : '')),
  };
}

describe('pings of a control server (addendum §6)', () => {
  it('are answered once, in keep-alives and elsewhere (§19.17)', async (t) => {
    const { control, ping } = await open(t);
    await ping({ URL: `${control.url}/first` }, 1);
    await ping({ URL: `${control.url}/first` }, 1);
    control.broadcast({ PingRequest: { URL: `${control.url}/second` } });
    await ping({}, 2);
    assert.deepEqual(control.others, ['HEAD /first', 'HEAD /second']);
  });

  it('come over the control connection and are answered there', async (t) => {
    const { control, ping } = await open(t);
    await ping({ URL: 'https://unused/machine-ping?id=1', URLIsNoise: true }, 1);
    assert.deepEqual(control.others, ['noise HEAD /machine-ping?id=1']);
  });

  it('with types get a result for each that says that the node cannot ping', async (t) => {
    const { control, ping, ignored } = await open(t);
    await ping({ URL: `${control.url}/typed`, Types: 'disco,TSMP,later', IP: '100.64.0.2' }, 2);
    const results = control.others.map((line) => JSON.parse(line.replace('POST /typed ', '')) as object);
    const Err = 'this node is a peer relay: it has no tunnel and sends no pings';
    assert.deepEqual(results, [
      { Type: 'disco', IP: '100.64.0.2', Err },
      { Type: 'TSMP', IP: '100.64.0.2', Err },
    ]);
    assert.deepEqual(ignored(), ['its type later is not known']);
  });

  it('that are requests to the node are answered over the control connection alone', async (t) => {
    const { control, ping, ignored } = await open(t);
    const request = (text: string): string => Buffer.from(text).toString('base64');
    const echo = request('POST /echo HTTP/1.1\r\nHost: local\r\nContent-Length: 5\r\n\r\nhello');
    await ping({ URL: `${control.url}/c2n`, Types: 'c2n', Payload: echo }, 0);
    await ping({ URL: 'https://unused/c2n/1', URLIsNoise: true, Types: 'c2n', Payload: echo }, 1);
    await ping({ URL: 'https://unused/c2n/2', URLIsNoise: true, Types: 'c2n', Payload: request('GET /debug') }, 2);
    await ping({ URL: 'ftp://unused/' }, 2);
    assert.match(control.others[0]!, /^noise POST \/c2n\/1 HTTP\/1\.1 200 OK\r\n.*Content-Length: 5\r\n\r\nhello$/s);
    assert.match(control.others[1]!, /^noise POST \/c2n\/2 HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(ignored()[0]!, /must come over the control connection/);
  });

  it('that ask for what a peer relay has not are told so in the form of other nodes', async (t) => {
    const { control, ping } = await open(t);
    const answers: [string, RegExp][] = [
      ['GET /update', /200 OK.*"Enabled":false,"Supported":false,"Started":false\}$/s],
      ['POST /update', /200 OK.*"Err":"[^"]+"/s],
      ['GET /posture/identity?hwaddrs=1', /200 OK.*\{"PostureDisabled":true\}$/s],
      ['GET /vip-services', /200 OK.*\{"ServicesHash":""\}$/s],
      ['GET /appconnector/routes', /200 OK.*\{"Domains":\{\}\}$/s],
      ['DELETE /update', /405 Method Not Allowed/],
      ['POST /netfilter-kind', /400 Bad Request.*unknown path/s],
      ['GET http://other/echo', /400 Bad Request.*not a request/s],
    ];
    for (const [i, [line, expected]] of answers.entries()) {
      const Payload = Buffer.from(`${line} HTTP/1.1\r\nHost: local\r\n\r\n`).toString('base64');
      await ping({ URL: `https://unused/c2n/${i}`, URLIsNoise: true, Types: 'c2n', Payload }, i + 1);
      assert.match(control.others[i]!, expected, line);
    }
  });
});
