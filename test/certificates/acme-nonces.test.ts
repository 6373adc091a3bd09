import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { AcmeFailure } from '../../src/certificates/acme/failure.ts';
import { openLibraryClient } from '../../src/certificates/acme/acme-client-library.ts';
import type { Requester } from '../../src/certificates/acme/authority-requests.ts';
import { jsonAnswer } from './support.ts';

const CA = 'https://ca.example';
const BAD_NONCE = { type: 'urn:ietf:params:acme:error:badNonce', detail: 'JWS has an invalid anti-replay nonce' };
/** More refusals than the retries of the library, and fewer than those of all rounds together. */
const SOME = 8;

/** Makes an authority that refuses the first `refused` signed requests for their nonce. */
function authority(refused: number): { readonly request: Requester; readonly nonces: Set<string>; orders: number } {
  const nonces = new Set<string>();
  const it = {
    nonces,
    orders: 0,
    request: (({ url, method, body }) => {
      const headers = { 'replay-nonce': `nonce-${nonces.size}-${Math.random()}`, location: `${CA}/order/1` };
      if (url === `${CA}/dir`) return Promise.resolve(jsonAnswer({ newNonce: `${CA}/nonce`, newOrder: `${CA}/order` }));
      if (method === 'HEAD') return Promise.resolve(jsonAnswer(null, 200, headers));
      const { nonce } = JSON.parse(
        Buffer.from((JSON.parse(String(body)) as { protected: string }).protected, 'base64url').toString(),
      ) as { nonce: string };
      assert.ok(!nonces.has(nonce), 'no nonce is used twice');
      nonces.add(nonce);
      if (nonces.size <= refused) return Promise.resolve(jsonAnswer(BAD_NONCE, 400, headers));
      it.orders++;
      return Promise.resolve(jsonAnswer({ status: 'ready', authorizations: [] }, 201, headers));
    }) satisfies Requester,
  };
  return it;
}

async function order(request: Requester): Promise<string> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const account = { keyPem, accountUrl: `${CA}/account/1` };
  const client = await openLibraryClient({ request, directoryUrl: `${CA}/dir` }, account, null, null);
  return (await client.order({ identifiers: [], profile: null, replaces: null })).url;
}

describe('an authority that refuses nonces', () => {
  it('is asked again, with another nonce each time, beyond what the library does', async () => {
    const ca = authority(SOME);
    assert.equal(await order(ca.request), `${CA}/order/1`);
    assert.equal(ca.orders, 1);
    assert.equal(ca.nonces.size, SOME + 1);
  });

  it('is given up in the end, with words', async () => {
    const ca = authority(Infinity);
    await assert.rejects(order(ca.request), (error: unknown) => {
      assert.ok(error instanceof AcmeFailure);
      assert.equal(error.kind, 'unreachable');
      assert.match(error.message, /refused every nonce/);
      assert.match(error.hint ?? '', /proxy/);
      return true;
    });
    assert.equal(ca.nonces.size, 30);
  });
});
