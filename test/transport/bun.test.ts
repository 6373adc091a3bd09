import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBunTransport } from '../../src/transport/bun/index.ts';
import type { Transport } from '../../src/transport/port.ts';
import { makeCertificate } from './certificates.ts';
import { transportContract } from './contract.ts';
import { bytesContract } from './contract-bytes.ts';
import { closingContract } from './contract-closing.ts';
import { connectContract } from './contract-connect.ts';
import { handshakeContract } from './contract-handshake.ts';
import { listenContract } from './contract-listen.ts';
import { refusedResourcesContract, streamResourcesContract } from './contract-resources.ts';
import { serve } from './support.ts';

const skip = !('bun' in process.versions);

describe('Bun transport', { timeout: 110_000, skip }, () => {
  if (!skip) transportContract(createBunTransport());
});

describe('Bun transport where contexts cannot be replaced', { timeout: 110_000, skip }, () => {
  if (skip) return;
  const findings = { replacesContext: false, agreesOnAlpn: true, refusesOldTls: true, upgrades: true };
  handshakeContract(createBunTransport({ findings }));
  listenContract(createBunTransport({ findings }));
});

describe('Bun transport where TLS begins after the ClientHello was read', { timeout: 110_000, skip }, () => {
  if (skip) return;
  const transport = createBunTransport();
  const looking: Transport = {
    ...transport,
    listen: (options, handler) => {
      const tls = options.tls && { ...options.tls, challenge: () => null };
      return transport.listen({ ...options, tls }, handler);
    },
  };
  bytesContract(looking);
  closingContract(looking);
  handshakeContract(looking);
  listenContract(looking);
  connectContract(looking);
  streamResourcesContract(looking);
  refusedResourcesContract(looking);
});

describe('Bun transport features', { skip }, () => {
  it('finds everything undocumented on the pinned Bun', async () => {
    const transport = createBunTransport();
    assert.deepEqual(transport.features, []);
    const serving = await serve(transport, makeCertificate(['relay.test']));
    assert.deepEqual(transport.features, ['certificate-swap: in place', 'alpn: on', 'tls-after-reading: on']);
    await serving.stop();
  });

  it('says what is missing, and refuses where TLS would not be safe', async () => {
    const certificate = makeCertificate(['relay.test']);
    const missing = { replacesContext: false, agreesOnAlpn: false, refusesOldTls: true, upgrades: false };
    const poor = createBunTransport({ findings: missing });
    const serving = await serve(poor, certificate);
    assert.deepEqual(poor.features, [
      'certificate-swap: by a second listener',
      'alpn: not available',
      'tls-after-reading: not available',
    ]);
    await serving.stop();
    await assert.rejects(serve(poor, certificate, { challenge: () => null }), { code: 'TOWPATH_RUNTIME' });
    const unsafe = createBunTransport({ findings: { ...missing, refusesOldTls: false } });
    await assert.rejects(serve(unsafe, certificate), { code: 'TOWPATH_RUNTIME' });
  });
});
