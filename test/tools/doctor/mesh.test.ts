import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Check } from '../../../src/tools/doctor/check.ts';
import { TestRelay } from '../../service/support.ts';
import { DoctorFixture, type Diagnosis } from './doctor-support.ts';

const KEY = '0123456789abcdef'.repeat(4);
const OTHER_KEY = 'fedcba9876543210'.repeat(4);

suite('the doctor looks at the other relays of the region', () => {
  const fixture = new DoctorFixture();
  let other: TestRelay;
  let keyFile: string;

  before(async () => {
    keyFile = join(fixture.folder, 'mesh.key');
    writeFileSync(keyFile, KEY);
    other = await TestRelay.start({ TOWPATH_MESH_KEY_FILE: keyFile });
    await fixture.start({ TOWPATH_MESH_KEY_FILE: keyFile, TOWPATH_MESH_WITH: entry(other) });
  });
  after(async () => {
    await other.stop();
    await fixture.close();
  });

  function entry(relay: TestRelay): string {
    return `127.0.0.1:${relay.port}#sha256-raw:${relay.relay.certificate.info().pinSha256}`;
  }

  async function examine(mesh: Record<string, unknown>, ...args: readonly string[]): Promise<Check[]> {
    const diagnosis: Diagnosis = await fixture.examine({ mesh: { keyFile, with: [entry(other)], ...mesh } }, ...args);
    return diagnosis.sections.find(({ title }) => title === 'Other relays of the region')?.checks.slice() ?? [];
  }

  test('one that answers, and is not linked back', async () => {
    await other.until(() => other.relay.counters.watchers > 0, 'the relay is linked to the other one');
    const checks = await examine({});
    assert.deepEqual(
      checks.map(({ step, status }) => [step, status]),
      [
        ['mesh', 'ok'],
        ['mesh-link', 'failed'],
      ],
    );
    assert.match(checks[0]!.text, /answers in .* ms and accepts the mesh key/);
    assert.match(checks[1]!.text, /is not linked to this relay/);
  });

  test('another mesh key, one that is only the second, nobody there, a name that is not found, and itself', async () => {
    const wrong = join(fixture.folder, 'wrong.key');
    writeFileSync(wrong, OTHER_KEY);
    const [refused] = await examine({ keyFile: wrong });
    assert.deepEqual([refused!.status, refused!.step], ['failed', 'mesh']);
    assert.match(refused!.text, /does not accept our mesh key/);
    writeFileSync(wrong, `${OTHER_KEY}\n${KEY}`);
    const [second] = await examine({ keyFile: wrong });
    assert.equal(second!.status, 'warning');
    const [nobody] = await examine({ with: ['127.0.0.1:1'] });
    assert.deepEqual([nobody!.status, nobody!.step], ['failed', 'mesh']);
    const [unknown] = await examine({ with: ['nowhere.invalid'] });
    assert.match(unknown!.text, /nowhere\.invalid is not found/);
    const [self] = await examine({ with: [entry(fixture.relay!)] });
    assert.match(self!.text, /is this relay itself/);
    const [missing] = await examine({ keyFile: join(fixture.folder, 'none') });
    assert.match(missing!.text, /cannot read/);
  });

  test('one with a copy of our private key is not taken for this relay', async (t) => {
    const keyPath = join(fixture.folder, 'copied.key');
    copyFileSync(fixture.keyFile, keyPath);
    const copy = await TestRelay.start({ TOWPATH_MESH_KEY_FILE: keyFile, TOWPATH_KEY_FILE: keyPath });
    t.after(() => copy.stop());
    const [twin] = await examine({ with: [entry(copy)] });
    assert.deepEqual([twin!.status, twin!.step], ['failed', 'mesh']);
    assert.match(twin!.text, /another relay with the node key of this one/);
  });

  test('a region in the map that does not list all of its relays', async () => {
    const node = { Name: '900a', RegionID: 900, HostName: 'relay.example.com' };
    const region = { RegionID: 900, RegionCode: 'own', RegionName: 'own', Nodes: [node] };
    writeFileSync(fixture.mapFile, JSON.stringify({ Regions: { 900: region } }));
    const checks = await examine({}, '--derp-map', fixture.mapFile);
    const map = checks.find(({ step }) => step === 'mesh-map');
    assert.equal(map?.status, 'failed');
    assert.match(map.text, /has 1 of 2 relays/);
  });
});
