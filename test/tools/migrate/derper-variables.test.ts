import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { derperConfiguration, readDerperVariables } from '../../../src/tools/migrate/environment.ts';

function configOf(env: Record<string, string>): Config {
  const derper = derperConfiguration(env);
  assert.ok(derper !== null);
  return loadConfig({ values: derper.values, env }).config;
}

describe('the variables of derper images', () => {
  it('give the same relay: fredliang/derper', () => {
    const config = configOf({
      DERP_DOMAIN: 'derp.example.com',
      DERP_CERT_MODE: 'letsencrypt',
      DERP_CERT_DIR: '/app/certs',
      DERP_ADDR: ':443',
      DERP_STUN: 'true',
      DERP_STUN_PORT: '3479',
      DERP_HTTP_PORT: '80',
      DERP_VERIFY_CLIENTS: 'true',
      DERP_VERIFY_CLIENT_URL: '',
    });
    assert.equal(config.hostname, 'derp.example.com');
    assert.equal(config.certificate.mode, 'acme');
    assert.deepEqual([config.listen[0]?.port, config.http[0]?.port, config.stun.listen[0]?.port], [443, 80, 3479]);
    assert.deepEqual(
      config.admission.sources.map(({ kind }) => kind),
      ['tailscaled'],
    );
    assert.equal(config.keyFile, '/var/lib/towpath/derper.key');
  });

  it('give the same relay: an address, a certificate of its own, a web service, no port 80', () => {
    const config = configOf({
      DERP_HOST: '203.0.113.7',
      DERP_CERTS: '/certs',
      DERP_CERTMODE: 'manual',
      DERP_HTTPS_PORT: '8443',
      DERP_HTTP_PORT: '-1',
      DERP_STUN: 'false',
      DERP_VERIFY_CLIENT_URL: 'https://admit.example.com/',
      DERP_VERIFY_CLIENT_URL_FAIL_OPEN: 'false',
    });
    assert.deepEqual([config.certificate.mode, config.certificate.directory], ['self-signed', '/certs']);
    assert.deepEqual([config.listen[0]?.port, config.http, config.stun.listen], [8443, [], []]);
    const [source] = config.admission.sources;
    assert.deepEqual(
      [source?.kind, source !== undefined && 'failOpen' in source && source.failOpen],
      ['webhook', false],
    );
  });

  it('take the files of the certificate where these images have them', () => {
    const { certificate } = configOf({ DERPER_DOMAIN: 'derp.example.com', DERPER_CERT_MODE: 'manual' });
    assert.equal(certificate.file, '/app/certs/derp.example.com.crt');
  });

  it('count less than those of towpath, and TOWPATH_HOSTNAME can stand for the name', () => {
    const config = configOf({ DERP_STUN_PORT: '3479', TOWPATH_HOSTNAME: 'derp.example.com', TOWPATH_STUN: 'off' });
    assert.deepEqual([config.hostname, config.stun.listen], ['derp.example.com', []]);
  });

  it('are refused when they mean nothing here, each with what to do', () => {
    const env = {
      DERP_DOMAIN: 'derp.example.com',
      DERP_VERBOSE: 'true',
      DERP_DOMIAN: 'x',
      DERP_TCP_USER_TIMEOUT: '15s',
    };
    assert.throws(
      () => derperConfiguration(env),
      (error: Error) => {
        const lines = error.message.split('\n');
        assert.equal(lines.length, 3, error.message);
        assert.match(error.message, /^DERP_VERBOSE: write TOWPATH_LOG_LEVEL=debug; remove it$/m);
        assert.match(error.message, /^DERP_DOMIAN: no image of derper has this variable; remove it$/m);
        assert.match(error.message, /^DERP_TCP_USER_TIMEOUT: .*limits\.writeDeadlineMs; remove it$/m);
        return true;
      },
    );
    assert.throws(() => derperConfiguration({ DERP_STUN: 'true' }), /DERP_DOMAIN is missing/);
    assert.throws(() => derperConfiguration({ DERP_DOMAIN: 'derp.example.com', DERP_STUN: 'perhaps' }), /-stun/);
  });

  it('are not those of a Service whose name begins with derp, nor words of other programs alone', () => {
    const links = { DERP_PORT: 'tcp://10.0.0.1:443', DERP_SERVICE_HOST: '10.0.0.1', DERP_SERVICE_PORT: '443' };
    assert.equal(readDerperVariables({ ...links, DERP_PORT_443_TCP_PORT: '443' }), null);
    assert.equal(readDerperVariables({ DERP_OF_ANOTHER_PROGRAM: '1' }), null);
    assert.equal(readDerperVariables({ TOWPATH_HOSTNAME: 'x' }), null);
  });
});
