import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WaitingPlaces, type Admittance, type Applicant } from '../../src/admission/waiting-places.ts';

const applicant = (ip: string, isKnown = false, isOver = () => false): Applicant => ({ ip, isKnown, isOver });

/** Enters; returns a function for the result so far. */
function enter(places: WaitingPlaces, who: Applicant): { readonly got: Admittance | 'waits' } {
  const entry: { got: Admittance | 'waits' } = { got: 'waits' };
  void places.enter(who).then((got) => (entry.got = got));
  return entry;
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('places of those that wait for an admission source', () => {
  it('go to whoever had a turn the longest ago, known keys first', async () => {
    const places = new WaitingPlaces(1, 100);
    enter(places, applicant('192.0.2.1'));
    const flood = Array.from({ length: 5 }, () => enter(places, applicant('192.0.2.1')));
    const newcomer = enter(places, applicant('192.0.2.2'));
    const member = enter(places, applicant('192.0.2.1', true));
    const order: string[] = [];
    for (let i = 0; i < 7; i++) {
      places.leave();
      await turn();
      for (const [name, entry] of Object.entries({ flood: flood[0]!, newcomer, member })) {
        if (entry.got === 'go' && !order.includes(name)) order.push(name);
      }
    }
    assert.deepEqual(order, ['member', 'newcomer', 'flood']);
  });

  it('are taken from the address that holds most, its oldest first, an IPv6 site as a whole', async () => {
    const places = new WaitingPlaces(1, 4);
    enter(places, applicant('192.0.2.1'));
    const single = enter(places, applicant('192.0.2.7'));
    const site = ['a', 'b', 'c'].map((link) => enter(places, applicant(`2001:db8:1:${link}::1`)));
    const other = enter(places, applicant('2001:db8:2::1'));
    await turn();
    assert.equal(site[0]!.got, 'full');
    for (const entry of [single, site[1]!, site[2]!, other]) assert.equal(entry.got, 'waits');
  });

  it('never exceed their bounds, lose nobody, and never refuse an address that holds none for one that holds many', async () => {
    const step = fc.record({
      address: fc.integer({ min: 0, max: 5 }),
      isKnown: fc.boolean(),
      leaves: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const places = new WaitingPlaces(2, 8);
        const entries: { readonly got: Admittance | 'waits' }[] = [];
        let left = 0;
        const running = (): number => entries.filter(({ got }) => got === 'go').length - left;
        for (const { address, isKnown, leaves } of steps) {
          const entry = enter(places, applicant(`192.0.2.${address}`, isKnown));
          entries.push(entry);
          await turn();
          if (!isKnown) assert.notEqual(entry.got, 'full');
          if (leaves && running() > 0) {
            left++;
            places.leave();
            await turn();
          }
          assert.ok(running() <= 2 && places.size <= 16);
          assert.equal(places.size, entries.filter(({ got }) => got === 'waits').length);
          assert.ok(places.size === 0 || running() === 2, 'nobody waits without need');
        }
      }),
      { numRuns: 50 },
    );
  });
});
