import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { mappingNonce } from '../../../src/service/peer-relay/mapping-nonce.ts';
import { mapPorts, type PortMapping } from '../../../src/service/peer-relay/port-mapping.ts';
import type { DatagramHandler, DatagramSocket, Transport } from '../../../src/transport/port.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';

const PORTS = [3478, 443];
const PUBLIC = [20, 0, 0, 7];

/** Returns the answer of a router to a datagram at one of its ports, or nothing. */
type Router = (request: Buffer, port: number) => Buffer | null;

/** The sockets of the runtime, except that datagrams go to `router`, which has the address 127.0.0.1. */
function toRouter(router: Router): Transport {
  return {
    ...transport,
    bindDatagram: (ip: string, _port: number, handler: DatagramHandler): Promise<DatagramSocket> => {
      let isOpen = true;
      const socket: DatagramSocket = {
        address: { ip, port: 50_000 },
        send: (buffer, from, to, target, port) => {
          const answer = target === '127.0.0.1' ? router(Buffer.from(buffer.subarray(from, to)), port) : null;
          const deliver = (bytes: Buffer, sender: string): void => {
            if (isOpen) handler.datagram(socket, bytes, 0, bytes.length, sender, port);
          };
          setImmediate(() => {
            deliver(Buffer.from([2, 0x81, 0, 2, ...Buffer.alloc(56)]), '192.0.2.66');
            if (answer !== null) deliver(answer, '127.0.0.1');
          });
          return true;
        },
        close: () => {
          isOpen = false;
          return Promise.resolve();
        },
      };
      return Promise.resolve(socket);
    },
  };
}

async function map(t: TestContext, router: Router): Promise<PortMapping> {
  const clock = new Clock();
  clock.start();
  t.after(() => clock.stop());
  const machine = generateNodeKeyPair();
  const { signal } = new AbortController();
  const gateway = { ip: '127.0.0.1', localIp: '127.0.0.1' };
  const nonceOf = (port: number): Buffer => mappingNonce(machine, port);
  return mapPorts({ transport: toRouter(router), clock, gateway, signal, ports: PORTS, nonceOf, firstWaitMs: 20 });
}

/** A router that speaks PCP: the answer is the request with a result and the mapping. */
function pcp(request: Buffer, code = 0, ip = PUBLIC, port = request.readUInt16BE(42)): Buffer {
  const answer = Buffer.from(request);
  answer[1]! |= 0x80;
  answer[3] = code;
  answer.writeUInt16BE(port, 42);
  answer.set(ip, 56);
  return answer;
}

/** A router that speaks only NAT-PMP. */
const natPmp: Router = (request) => {
  if (request[0] === 2) return Buffer.from([0, 0x81, 0, 1, 0, 0, 0, 9]);
  if (request[1] === 0) return Buffer.from([0, 0x80, 0, 0, 0, 0, 0, 9, ...PUBLIC]);
  const answer = Buffer.alloc(16);
  answer[1] = 0x81;
  request.copy(answer, 8, 4, 6);
  answer.writeUInt16BE(request.readUInt16BE(6) + 1, 10);
  answer.writeUInt32BE(120, 12);
  return answer;
};

const text = ({ how, addresses }: PortMapping): string =>
  `${how} ${addresses.map(({ localPort, ip, port }) => `${localPort}=${ip}:${port}`).join(' ')}`;

suite('a router is asked to forward the ports', { timeout: 60_000 }, () => {
  test('by PCP, again when the answer is lost, with the port that it gives', async (t) => {
    let lost = 1;
    const router: Router = (request, port) =>
      port !== 5351 || lost-- > 0 ? null : pcp(request, 0, PUBLIC, request.readUInt16BE(40) === 443 ? 50_443 : 3478);
    assert.equal(
      text(await map(t, router))
        .split(' ')
        .sort()
        .join(' '),
      '3478=20.0.0.7:3478 443=20.0.0.7:50443 PCP',
    );
  });

  test('by NAT-PMP when it speaks no PCP', async (t) => {
    assert.equal(text(await map(t, natPmp)), 'NAT-PMP 3478=20.0.0.7:3479 443=20.0.0.7:444');
  });

  test('and says why not: a refusal, another NAT, a foreign nonce, silence', async (t) => {
    await assert.rejects(
      map(t, (request) => pcp(request, 2)),
      /refuses by PCP: not authorized/,
    );
    await assert.rejects(
      map(t, (request) => pcp(request, 0, [192, 168, 1, 2])),
      /192\.168\.1\.2 is not public: there is another NAT/,
    );
    const foreign: Router = (request) => {
      if (request[0] !== 2) return null;
      request.fill(0xee, 24, 36);
      return pcp(request);
    };
    await assert.rejects(map(t, foreign), /answers neither PCP nor NAT-PMP nor UPnP/);
  });

  test('by UPnP at its own address alone, for ever when it knows nothing else', async (t) => {
    const calls: string[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const action = /#(\w+)"$/.exec(String(request.headers['soapaction']))?.[1] ?? request.url!;
        const seconds = /<NewLeaseDuration>(\d+)</.exec(body)?.[1];
        const port = /<NewExternalPort>(\d+)</.exec(body)?.[1];
        calls.push([action, port, seconds].filter((part) => part !== undefined).join(' '));
        if (action === '/desc.xml') {
          response.end(
            '<root><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3</controlURL></service>' +
              '<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/ctl</controlURL></service></root>',
          );
        } else if (seconds !== undefined && seconds !== '0') {
          response.writeHead(500).end('<s:Fault><errorCode>725</errorCode></s:Fault>');
        } else {
          response.end('<NewExternalIPAddress>20.0.0.7</NewExternalIPAddress>');
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port: httpPort } = server.address() as AddressInfo;
    const router: Router = (_request, port) =>
      port === 1900 ? Buffer.from(`HTTP/1.1 200 OK\r\nLOCATION: http://127.0.0.1:${httpPort}/desc.xml\r\n\r\n`) : null;
    assert.equal(text(await map(t, router)), 'UPnP 3478=20.0.0.7:3478 443=20.0.0.7:443');
    assert.deepEqual(calls, [
      '/desc.xml',
      'AddPortMapping 3478 7200',
      'AddPortMapping 3478 0',
      'AddPortMapping 443 7200',
      'AddPortMapping 443 0',
      'GetExternalIPAddress',
    ]);
    const elsewhere: Router = (_request, port) =>
      port === 1900 ? Buffer.from('HTTP/1.1 200 OK\r\nLOCATION: http://192.0.2.1:80/desc.xml\r\n\r\n') : null;
    await assert.rejects(map(t, elsewhere), /answers neither/);
  });

  test('by UPnP for the ports that it forwards: many forward none below 1024', async (t) => {
    let refused = '443';
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const port = /<NewExternalPort>(\d+)</.exec(body)?.[1];
        if (request.url === '/desc.xml')
          response.end(
            '<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/ctl</controlURL></service>',
          );
        else if (port !== undefined && refused.includes(port))
          response.writeHead(500).end('<s:Fault><errorCode>718</errorCode></s:Fault>');
        else response.end('<NewExternalIPAddress>20.0.0.7</NewExternalIPAddress>');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port: httpPort } = server.address() as AddressInfo;
    const router: Router = (_request, port) =>
      port === 1900 ? Buffer.from(`HTTP/1.1 200 OK\r\nLOCATION: http://127.0.0.1:${httpPort}/desc.xml\r\n\r\n`) : null;
    const some = await map(t, router);
    assert.equal(text(some), 'UPnP 3478=20.0.0.7:3478');
    assert.equal(some.problem, 'the router does not forward port 443 by UPnP: another machine has it');
    refused = '3478 443';
    await assert.rejects(map(t, router), /does not forward port 3478 by UPnP: another machine has it/);
  });

  test('by PCP for the ports that it forwards', async (t) => {
    const router: Router = (request, port) =>
      port !== 5351 ? null : pcp(request, request.readUInt16BE(40) === 443 ? 2 : 0);
    const some = await map(t, router);
    assert.equal(text(some), 'PCP 3478=20.0.0.7:3478');
    assert.equal(some.problem, 'the router does not forward port 443: not authorized');
  });

  test('and a description without end is no router', async (t) => {
    // A pattern over the whole text would need a time that grows with the square of its length.
    const server = createServer((_request, response) => response.end('<service>'.repeat(29_000)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port: httpPort } = server.address() as AddressInfo;
    const router: Router = (_request, port) =>
      port === 1900 ? Buffer.from(`HTTP/1.1 200 OK\r\nLOCATION: http://127.0.0.1:${httpPort}/\r\n\r\n`) : null;
    await assert.rejects(map(t, router), /answers neither/);
  });
});

test('a router that is silent is not waited for when the relay ends, though its clock stands still', async () => {
  const clock = new Clock();
  const ended = new AbortController();
  const gateway = { ip: '127.0.0.1', localIp: '127.0.0.1' };
  const nonceOf = (): Buffer => Buffer.alloc(12);
  const { signal } = ended;
  const mapping = mapPorts({ transport: toRouter(() => null), clock, gateway, signal, ports: PORTS, nonceOf });
  setImmediate(() => ended.abort());
  await assert.rejects(mapping, /answers neither/);
});

test('the nonce of a mapping is the same after a restart, and another for each port and relay', () => {
  const [one, two] = [generateNodeKeyPair(), generateNodeKeyPair()];
  assert.equal(mappingNonce(one, 443).length, 12);
  assert.deepEqual(mappingNonce(one, 443), mappingNonce(one, 443));
  assert.notDeepEqual(mappingNonce(one, 443), mappingNonce(one, 3478));
  assert.notDeepEqual(mappingNonce(one, 443), mappingNonce(two, 443));
});
