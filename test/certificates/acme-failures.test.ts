import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { AcmeFailure } from '../../src/certificates/acme/failure.ts';
import { renewAt } from '../../src/certificates/acme/schedule.ts';
import { AcmeStore } from '../../src/certificates/acme/store.ts';
import { readDirectory } from '../../src/certificates/acme/authority-requests.ts';
import { HttpFailure } from '../../src/transport/http/failure.ts';
import { NAME, Site } from './acme-site.ts';
import { DAY_MS, scratch, START, World } from './support.ts';

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const IN_2069 = Date.UTC(2069, 11, 31, 12);

describe('an authority, a wrong clock and a bad disk', () => {
  const folder = scratch();
  let n = 0;
  const fresh = (): string => join(folder.path, String(n++));

  async function issued(place: string): Promise<Site> {
    const site = new Site(place);
    await site.pass(1000);
    assert.equal(site.authority.orders, 1);
    return site;
  }

  it('orders nothing that is due by our clock only, and says that the clock is wrong', async () => {
    for (const restarts of [true, false]) {
      const place = fresh();
      let site = await issued(place);
      const { pinSha256 } = site.source.info();
      site.world.pass(3 * DAY_MS);
      if (restarts) {
        site.source.stop();
        site = new Site(place, IN_2069, 'acme', site.authority);
      } else site.world.wall = IN_2069;
      site.world.authorityTime = START + DAY_MS;
      for (let hour = 0; hour < 48; hour++) await site.pass(HOUR_MS);
      assert.equal(site.authority.orders, 1);
      assert.match(site.health.get('certificate') ?? '', /this machine's clock is wrong/);
      assert.ok(site.world.said().filter((line) => line.startsWith('error')).length <= 50);
      site.world.wall = START + 10 * DAY_MS;
      await site.pass(1000);
      assert.deepEqual([site.health.size, site.source.info().pinSha256], [0, pinSha256]);
      assert.match(readFileSync(pemIn(place), 'utf8'), /BEGIN CERTIFICATE/);
      site.source.stop();
    }
  });

  it('takes the whole seconds of an authority, and a clock that is a little behind, for a clock that agrees', async () => {
    for (const behindMs of [999, 30_000]) {
      const site = await issued(fresh());
      const due = renewAt(site.source.info(), null);
      site.world.wall = due - 1;
      site.world.authorityTime = due - 1 - behindMs;
      await site.pass(1000);
      assert.equal(site.authority.orders, 1);
      site.world.wall = due;
      site.world.authorityTime = due - behindMs;
      await site.pass(DAY_MS * 2);
      assert.equal(site.authority.orders, 2);
      assert.deepEqual(
        site.world.said().filter((line) => line.startsWith('error')),
        [],
      );
      site.source.stop();
    }
  });

  it('orders no more than four a week from an authority that does not say its time', async () => {
    const site = await issued(fresh());
    site.authority.wall = START;
    site.world.wall = IN_2069;
    for (let hour = 0; hour < 7 * 24; hour++) await site.pass(HOUR_MS);
    assert.ok(site.authority.orders <= 5, `${site.authority.orders} orders`);
    site.source.stop();
  });

  it('waits as long after a failure, whatever the clock does meanwhile', async () => {
    for (const wall of [IN_2069, START - 300 * DAY_MS, 0]) {
      const site = new Site(fresh());
      site.authority.failure = new AcmeFailure('refused', 'no');
      await site.pass(1000);
      site.world.wall = wall;
      await site.pass(4 * MINUTE_MS);
      assert.equal(site.authority.orders, 1);
      await site.pass(2 * MINUTE_MS);
      assert.equal(site.authority.orders, 2);
      site.source.stop();
    }
  });

  it('does not wait longer after a restart because the clock was set back', async () => {
    const place = fresh();
    const ahead = new Site(place, IN_2069);
    ahead.authority.failure = new AcmeFailure('refused', 'no');
    await ahead.pass(1000);
    ahead.source.stop();
    const right = new Site(place);
    await right.pass(4 * MINUTE_MS);
    assert.equal(right.authority.orders, 0);
    await right.pass(2 * MINUTE_MS);
    assert.equal(right.source.info().provisional, undefined);
    right.source.stop();
  });

  it('in mode auto decides nothing while the clock is wrong', async () => {
    for (const [wall, failure] of [
      [300_000, new AcmeFailure('unreachable', 'no answer')],
      [IN_2069, new AcmeFailure('clock', 'the certificate of the authority has expired')],
    ] as const) {
      const site = new Site(fresh(), wall, 'auto');
      site.authority.failure = failure;
      await site.pass(1000);
      assert.equal(site.source.info().provisional, true);
      site.world.wall = START;
      site.authority.failure = null;
      await site.pass(2 * MINUTE_MS);
      assert.match(site.source.info().origin ?? '', /^from /);
      site.source.stop();
    }
  });

  it('takes dates that TLS does not accept for a wrong clock', async () => {
    for (const why of ['certificate has expired', 'certificate is not yet valid']) {
      const refused = (): Promise<never> => Promise.reject(new HttpFailure('answer', `no TLS connection: ${why}`));
      await assert.rejects(
        readDirectory(refused, 'https://ca.example/dir'),
        (error: AcmeFailure) => error.kind === 'clock' && /Correct this machine.s clock/.test(error.hint ?? ''),
      );
    }
  });

  it('makes the temporary one anew when the clock is set', async () => {
    const site = new Site(fresh(), 300_000);
    site.authority.failure = new AcmeFailure('refused', 'no');
    await site.pass(1000);
    const heard: string[] = [];
    site.source.onChange(({ certPem }) => heard.push(certPem));
    site.world.wall = START;
    await site.pass(1000);
    assert.ok(site.source.info().notAfter.getTime() > START);
    assert.ok(heard.includes(site.source.current().certPem));
    site.source.stop();
  });

  it('uses what was issued although the disk takes nothing, says so once, and writes it later', async () => {
    const place = fresh();
    // The account exists; then a file replaces its folder.
    new AcmeStore(place, LETS_ENCRYPT, NAME, new World().log).account(LETS_ENCRYPT);
    const site = new Site(place);
    const acme = join(place, 'acme');
    site.authority.prove = () => {
      renameSync(acme, `${acme}.away`);
      writeFileSync(acme, 'in the way');
      return Promise.resolve();
    };
    await site.pass(1000);
    assert.equal(site.source.info().provisional, undefined);
    for (let minute = 0; minute < 20; minute++) await site.pass(MINUTE_MS);
    assert.equal(site.authority.orders, 1);
    const errors = site.world.said().filter((line) => line.startsWith('error'));
    assert.equal(errors.length, 1, errors.join('\n'));
    assert.match(errors[0]!, /cannot be written to the disk; it is in use/);
    rmSync(acme);
    renameSync(`${acme}.away`, acme);
    await site.pass(2 * MINUTE_MS);
    assert.match(site.world.said().join(), /is on the disk now/);
    const { pinSha256 } = site.source.info();
    site.source.stop();
    const again = new Site(place, site.world.wall);
    assert.equal(again.source.info().pinSha256, pinSha256);
    again.source.stop();
  });

  it('takes the certificate of a backup on request', async () => {
    const place = fresh();
    const site = await issued(place);
    const backup = fresh();
    const other = await issued(backup);
    writeFileSync(pemIn(place), readFileSync(pemIn(backup)));
    site.source.reload();
    assert.equal(site.source.info().pinSha256, other.source.info().pinSha256);
    site.source.reload();
    assert.match(site.world.said().at(-1)!, /read again: nothing has changed/);
    for (const { source } of [site, other]) source.stop();
  });

  it('keeps few damaged files', () => {
    const place = fresh();
    const store = new AcmeStore(place, 'https://ca.example/dir', NAME, new World().log);
    mkdirSync(dirname(store.certPath), { recursive: true });
    for (let time = 0; time < 12; time++) {
      writeFileSync(store.certPath, `damaged ${time}`);
      assert.equal(store.certificate(), null);
    }
    const files = readdirSync(dirname(store.certPath));
    assert.equal(files.length, 5);
    assert.equal(readFileSync(`${store.certPath}.broken`, 'utf8'), 'damaged 0');
  });
});

function pemIn(place: string): string {
  const acme = join(place, 'acme');
  return join(acme, readdirSync(acme)[0]!, `${NAME}.pem`);
}
