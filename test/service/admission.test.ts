import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import pino from 'pino';
import { Clock } from '../../src/base/clock.ts';
import { Health } from '../../src/observe/health.ts';
import { AdmissionService } from '../../src/service/admission.ts';

const KEY = `nodekey:${'ab'.repeat(32)}`;

test('a review in which many connections fail is one line in the log, with their number', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'towpath-review-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const allowFile = join(directory, 'allow');
  writeFileSync(allowFile, `${KEY}\n`);
  const lines: { msg: string; connections?: number; error?: string }[] = [];
  const log = pino({ level: 'error' }, { write: (line) => lines.push(JSON.parse(line) as (typeof lines)[0]) });
  const source = { kind: 'keys', name: 'keys', allowFile, pollSeconds: 1, keepSeconds: 60 } as const;
  const service = new AdmissionService(
    { open: false, cacheDirectory: directory, denyApps: [], sources: [source] },
    { clock: new Clock(), log, health: new Health() },
  );
  t.after(() => service.stop());
  const reviewed = Promise.withResolvers<undefined>();
  await service.start({
    review: (_reviewer, failed) => {
      for (let i = 0; i < 500; i++) failed(new Error(`no answer about ${i}`));
      setImmediate(() => reviewed.resolve(undefined));
      return Promise.resolve();
    },
  });
  writeFileSync(allowFile, `${KEY}\nnodekey:${'cd'.repeat(32)}\n`);
  service.reloadFiles();
  await reviewed.promise;
  const found = lines.map(({ msg, connections, error }) => ({ msg, connections, error }));
  const msg = 'open connections could not be reviewed; they stay open';
  assert.deepEqual(found, [{ msg, connections: 500, error: 'no answer about 499' }]);
});
