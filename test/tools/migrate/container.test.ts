import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { convertContainer } from '../../../src/tools/migrate/container.ts';
import type { Draft } from '../../../src/tools/migrate/draft.ts';
import { fromCompose, fromInspect } from '../../../src/tools/migrate/read-container.ts';

/** The output of `docker inspect` for a container of an image with a shell command. */
function inspected(changes: object = {}, host: object = {}): string {
  const Config = {
    Image: 'fredliang/derper:latest',
    Env: ['DERP_DOMAIN=derp.example.com', 'DERP_CERT_DIR=/app/certs', 'DERP_ADDR=:443', 'DERP_VERIFY_CLIENTS=false'],
    Entrypoint: null,
    Cmd: [
      '/bin/sh',
      '-c',
      '/app/derper --hostname=$DERP_DOMAIN --certmode=${DERP_CERT_MODE:-manual} \\\n --certdir="$DERP_CERT_DIR" --a=$DERP_ADDR',
    ],
    ...changes,
  };
  const PortBindings = {
    '443/tcp': [{ HostIp: '', HostPort: '8443' }],
    '3478/udp': [{ HostIp: '', HostPort: '3478' }],
  };
  const Mounts = [{ Type: 'bind', Source: '/srv/certs', Destination: '/app/certs' }];
  return JSON.stringify([
    { Name: '/derper', Config, HostConfig: { NetworkMode: 'bridge', PortBindings, ...host }, Mounts },
  ]);
}

const compose = (text: string, service?: string): Draft =>
  convertContainer(fromCompose(text, { folder: '/srv', env: { DOMAIN: 'derp.example.com' }, service }));

describe('a container with derper', () => {
  it('becomes a relay of this machine: its flags, its ports, its files', () => {
    const draft = convertContainer(fromInspect(inspected()));
    const { hostname, listen, keyFile, certificate } = draft.values;
    assert.deepEqual([hostname, listen, keyFile], ['derp.example.com', '[::]:8443', '/var/lib/towpath/derper.key']);
    assert.deepEqual(certificate, {
      mode: 'file',
      file: '/srv/certs/derp.example.com.crt',
      keyFile: '/srv/certs/derp.example.com.key',
    });
    const text = draft.remarks.join('\n');
    assert.match(text, /docker cp derper:\/var\/lib\/derper\/derper\.key \/var\/lib\/towpath\/derper\.key/);
    assert.match(text, /listen: the container published port 443 as 8443/);
    assert.match(text, /http: port 80 was not published/);
  });

  it('is read from its variables when its command is a script', () => {
    const env = ['DERP_HOST=203.0.113.7', 'DERP_CERTMODE=manual', 'DERP_CERTS=/app/certs', 'DERP_VERBOSE=1'];
    const changes = { Env: env, Entrypoint: ['bash', '/entrypoint.sh'], Cmd: null };
    const draft = convertContainer(fromInspect(inspected(changes, { NetworkMode: 'host', PortBindings: {} })));
    assert.deepEqual(draft.values['certificate'], { mode: 'self-signed', directory: '/srv/certs' });
    assert.equal(draft.values['listen'], '[::]:443');
    assert.match(draft.remarks.join('\n'), /DERP_VERBOSE has no equivalent/);
  });

  it('is read from a compose file, with either form of everything', () => {
    const draft = compose(`
services:
  web: { image: nginx }
  relay:
    image: fredliang/derper
    environment: { DERP_DOMAIN: '\${DOMAIN}', DERP_CERT_MODE: manual, DERP_STUN_PORT: 3479, DERP_VERIFY_CLIENTS: true }
    ports: ['\${PORT:-8443}:443', '80:80/tcp', { target: 3479, published: 3478, protocol: udp }]
    volumes: ['./certs:/app/certs:ro', { type: bind, source: ./key, target: /var/lib/derper }, 'named:/data']
`);
    const { values } = draft;
    assert.deepEqual(
      [values['hostname'], values['listen'], values['http']],
      ['derp.example.com', '[::]:8443', '[::]:80'],
    );
    assert.deepEqual(values['stun'], { listen: '[::]:3478' });
    assert.equal(values['keyFile'], '/srv/key/derper.key');
    assert.equal((values['certificate'] as { file: string }).file, '/srv/certs/derp.example.com.crt');
  });

  it('has its flags in the command of a compose file', () => {
    const draft = compose(`
services:
  derper:
    image: example/derper
    command: derper -hostname derp.example.com -a :8443 -certmode manual -certdir /app/certs
    network_mode: host
    env_file: .env
`);
    assert.equal(draft.values['listen'], '[::]:8443');
    assert.match(draft.remarks.join('\n'), /env_file is not read/);
    assert.match(draft.remarks.join('\n'), /certificate\.file: .* is in the container only/);
  });

  it('is refused with the reason when it is something else', () => {
    assert.throws(() => fromInspect('{}'), /this is not the output of docker inspect/);
    assert.throws(() => fromInspect('no JSON'), /cannot be read/);
    assert.throws(() => compose('services: { a: { image: x }, b: { image: y } }'), /--service: a, b/);
    assert.throws(() => compose('services: { a: { image: x } }', 'b'), /has no service b; it has a/);
    assert.throws(() => compose('services: { a: { image: x } }'), /neither its command nor its environment/);
    assert.throws(() => compose('x: 1'), /this is not a compose file: services/);
  });
});
