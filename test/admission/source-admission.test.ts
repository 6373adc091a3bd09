import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdmissionVerdict } from '../../src/relay/session/admission.ts';
import { formatReport } from '../../src/admission/report-text.ts';
import { SourceAdmission, type DueSources } from '../../src/admission/source-admission.ts';
import type { Answer, AskingSource, ListSource, RefusalReason } from '../../src/admission/source.ts';
import { hexKey, World } from './support.ts';

const request = (seed: number) => ({ key: Buffer.from(hexKey(seed), 'hex'), ip: '192.0.2.1' });
const no = (reason: RefusalReason = 'unknown_key', failsOpen = false): Answer => ({
  reason,
  detail: 'because',
  failsOpen,
});
const STATE = { problem: null, isUsable: true, keys: null, ageSeconds: null };

class FakeList implements ListSource {
  readonly style = 'list';
  readonly kind = 'keys';
  readonly name: string;
  readonly allowed = new Set<string>();
  readonly denied = new Set<string>();
  usable = true;
  other: Answer = no();
  changed: () => void = () => undefined;
  constructor(name: string, ...seeds: number[]) {
    this.name = name;
    for (const seed of seeds) this.allowed.add(hexKey(seed));
  }
  facts = () => null;
  state = () => ({ ...STATE, isUsable: this.usable, problem: this.usable ? null : 'gone' });
  start = () => Promise.resolve();
  stop = () => undefined;
  denies = (key: string) => this.denied.has(key);
  look = (key: string) => (this.allowed.has(key) ? 'yes' : this.other);
  onChange = (listener: () => void) => void (this.changed = listener);
  reload = () => undefined;
}

class FakeAsked implements AskingSource {
  readonly style = 'asking';
  readonly kind = 'webhook';
  readonly name: string;
  readonly refreshMs = 60_000;
  readonly asked: string[] = [];
  answer: (key: string) => Answer | Promise<Answer>;
  last: Answer | null = null;
  constructor(name: string, answer: Answer) {
    this.name = name;
    this.answer = () => answer;
  }
  facts = () => null;
  state = () => STATE;
  start = () => Promise.resolve();
  stop = () => undefined;
  remembered = () => this.last;
  reload = () => undefined;
  onChange = () => undefined;
  ask = async ({ key }: { key: string }) => {
    this.asked.push(key);
    return (this.last = await this.answer(key));
  };
}

/** Returns the verdict of a list; it must come at once. */
function atOnce(verdict: AdmissionVerdict | Promise<AdmissionVerdict>): AdmissionVerdict {
  assert.ok(!(verdict instanceof Promise));
  return verdict;
}

function counted(admission: SourceAdmission, metric: string): Record<string, number> {
  const found = admission.metrics().find(({ name }) => name === `towpath_admission_${metric}`);
  return Object.fromEntries([...found!.read()].map(([labels, value]) => [Object.values(labels).join(' '), value]));
}

describe('admission by several sources', () => {
  it('admits at the first yes, lists without waiting', () => {
    const asked = new FakeAsked('hook', no());
    const admission = new SourceAdmission(
      [asked, new FakeList('a', 1), new FakeList('b', 2)],
      false,
      new World().parts,
    );
    assert.deepEqual(atOnce(admission.admit(request(1))), { admitted: true, source: 'a' });
    assert.deepEqual(atOnce(admission.admit(request(2))), { admitted: true, source: 'b' });
    assert.deepEqual(asked.asked, []);
  });

  it('admits when one asked source says yes, without waiting for the other', async () => {
    const slow = new FakeAsked('slow', no());
    slow.answer = () => new Promise<Answer>(() => undefined);
    const admission = new SourceAdmission([slow, new FakeAsked('quick', 'yes')], false, new World().parts);
    assert.deepEqual(await admission.admit(request(1)), { admitted: true, source: 'quick' });
  });

  it('refuses what a deny list has, whoever says yes', () => {
    const [allowing, denying] = [new FakeList('a', 1), new FakeList('b')];
    denying.denied.add(hexKey(1));
    const admission = new SourceAdmission([allowing, new FakeAsked('hook', 'yes'), denying], false, new World().parts);
    const verdict = atOnce(admission.admit(request(1)));
    assert.deepEqual(verdict, { admitted: false, source: 'b', reason: 'denied: the key is in the deny file' });
  });

  it('refuses what was denied while another source was asked', async () => {
    const list = new FakeList('list');
    const hook = new FakeAsked('hook', 'yes');
    const admission = new SourceAdmission([list, hook], false, new World().parts);
    const verdict = admission.admit(request(1));
    list.denied.add(hexKey(1));
    assert.equal((await verdict).admitted, false);
  });

  it('names the source that could not answer rather than those that said no', async () => {
    const sources = [new FakeList('list'), new FakeAsked('down', no('unavailable')), new FakeAsked('hook', no())];
    const verdict = await new SourceAdmission(sources, false, new World().parts).admit(request(1));
    assert.deepEqual(verdict, { admitted: false, source: 'down', reason: 'unavailable: because' });
  });

  it('fails open only when nobody says yes', async () => {
    const world = new World();
    const open = new FakeAsked('open', no('unavailable', true));
    const admission = new SourceAdmission([open, new FakeList('list', 1)], false, world.parts);
    await admission.admit(request(1));
    assert.deepEqual(await admission.admit(request(2)), { admitted: true, source: 'open' });
    assert.deepEqual(counted(admission, 'fail_open_total'), { open: 1 });
  });

  it('is open to whom nobody denies when the operator wants that', () => {
    const list = new FakeList('deny');
    list.denied.add(hexKey(1));
    const admission = new SourceAdmission([list], true, new World().parts);
    assert.equal(atOnce(admission.admit(request(1))).admitted, false);
    assert.equal(atOnce(admission.admit(request(2))).admitted, true);
    assert.equal(admission.problem(), null);
  });

  it('admits the keys of the self-test while it lasts', () => {
    const admission = new SourceAdmission([new FakeList('list')], false, new World().parts);
    const end = admission.exempt(request(1).key);
    assert.equal(atOnce(admission.admit(request(1))).admitted, true);
    end();
    assert.equal(atOnce(admission.admit(request(1))).admitted, false);
  });

  it('has a problem only while no source can tell', () => {
    const [a, b] = [new FakeList('a'), new FakeList('b')];
    const admission = new SourceAdmission([a, b], false, new World().parts);
    a.usable = false;
    assert.equal(admission.problem(), null);
    b.usable = false;
    assert.equal(admission.problem(), 'every admission source has failed: a: gone; b: gone');
  });
});

describe('a review of open connections', () => {
  it('is due when a list has changed, and asks no other source again that knows the key', async () => {
    const list = new FakeList('list', 1);
    const hook = new FakeAsked('hook', no());
    const admission = new SourceAdmission([list, hook], false, new World().parts);
    const rounds: DueSources[] = [];
    admission.onReview((due) => rounds.push(due));
    list.allowed.delete(hexKey(1));
    list.changed();
    assert.equal(rounds.length, 1);
    const verdict = await admission.review(request(1), rounds[0]!);
    assert.deepEqual(verdict.admitted, false);
    assert.equal(hook.asked.length, 1, 'it had not been asked about this key');
    assert.equal(atOnce(admission.review(request(1), rounds[0]!)).admitted, false);
    assert.equal(hook.asked.length, 1);
    assert.deepEqual(counted(admission, 'ended_total'), { 'all unknown_key': 2 });
  });

  it('is due for an asked source after its refresh time', async () => {
    const world = new World();
    const hook = new FakeAsked('hook', 'yes');
    const admission = new SourceAdmission([hook], false, world.parts);
    await admission.start();
    const rounds: DueSources[] = [];
    admission.onReview((due) => rounds.push(due));
    await admission.admit(request(1));
    hook.answer = () => no();
    assert.equal(atOnce(admission.review(request(1), new Set())).admitted, true);
    world.pass(59);
    assert.equal(rounds.length, 0);
    world.pass(1);
    assert.deepEqual([...rounds[0]!], [hook]);
    assert.deepEqual(await admission.review(request(1), rounds[0]!), {
      admitted: false,
      source: 'hook',
      reason: 'unknown_key: because',
    });
    admission.stop();
  });

  it('ends nothing because a source has too much to do', async () => {
    const hook = new FakeAsked('hook', no('busy'));
    const admission = new SourceAdmission([hook], false, new World().parts);
    assert.equal((await admission.review(request(1), new Set([hook]))).admitted, true);
    assert.equal((await admission.admit(request(1))).admitted, false);
  });
});

describe('refusals', () => {
  const open = (world: World) => new SourceAdmission([new FakeList('list')], false, world.parts);

  it('are logged once for each key and minute, with source, reason, short key and address', () => {
    const world = new World();
    const admission = open(world);
    for (let i = 0; i < 5; i++) atOnce(admission.admit(request(1)));
    assert.deepEqual(world.lines, [
      {
        level: 'info',
        message: 'not admitted',
        fields: { source: 'list', reason: 'unknown_key', key: '[AQEBA]', from: '192.0.2.1', detail: 'because' },
      },
    ]);
    world.pass(60);
    atOnce(admission.admit(request(1)));
    assert.equal(world.lines.length, 2);
    assert.deepEqual(counted(admission, 'refusals_total'), { 'list unknown_key': 6 });
  });

  it('are logged in bounded number and listed in bounded number, however many keys there are', () => {
    const world = new World();
    const admission = open(world);
    const key = (i: number) => ({
      key: Buffer.from(i.toString(16).padStart(64, '0'), 'hex'),
      ip: `192.0.2.${i % 100}`,
    });
    for (let i = 1; i <= 1000; i++) atOnce(admission.admit(key(i)));
    assert.equal(world.lines.length, 60);
    const { refusals } = admission.report();
    assert.equal(refusals.length, 256);
    assert.ok(refusals[0]!.nodeKey.endsWith('03e8'), 'newest first');
    world.pass(60);
    atOnce(admission.admit(key(1)));
    assert.equal(world.lines.at(-1)?.fields['notLogged'], 940);
  });

  it('of one address do not hide those of others', () => {
    const world = new World();
    const admission = open(world);
    const key = (i: number, ip: string) => ({ key: Buffer.from(i.toString(16).padStart(64, '0'), 'hex'), ip });
    atOnce(admission.admit(key(1, '192.0.2.1')));
    for (let i = 2; i < 1000; i++) atOnce(admission.admit(key(i, '198.51.100.1')));
    atOnce(admission.admit(key(1000, '192.0.2.2')));
    assert.equal(world.lines.length, 8);
    const shown = admission.report().refusals.map(({ ip }) => ip);
    assert.ok(shown.includes('192.0.2.1') && shown.includes('192.0.2.2') && shown.length === 256);
  });

  it('are listed as text, aligned', () => {
    const admission = open(new World());
    atOnce(admission.admit(request(1)));
    assert.equal(
      formatReport(admission.report()),
      [
        'list  keys  ok',
        '',
        'the last 1 refusals, newest first',
        `2026-11-24T12:00:00.000Z  refused  list  unknown_key  [AQEBA]  192.0.2.1  nodekey:${hexKey(1)}  because`,
        '',
      ].join('\n'),
    );
  });
});
