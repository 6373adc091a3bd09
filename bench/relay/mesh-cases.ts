import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fresh, ORDINARY, type Case } from './case.ts';
import { announceCase } from './announce-case.ts';
import { LocalPair } from './local-pair.ts';
import { withSibling } from './sibling-link.ts';

const REMOTE_KEYS = 100_000;
const JOIN_KEYS = 50_000;
/** CPU time per second below which a relay is idle, in clock ticks of 10 ms. */
const QUIET_TICKS = 3;
const QUIET_PATIENCE_SECONDS = 60;
const PAIR_WARM_MS = 2000;
const PAIR_AFTER_MS = 1500;
const ROUNDS = 3;

/** The cases for the other relays of a region. */
export function meshCases(short: boolean): Case[] {
  const rounds = short ? 1 : ROUNDS;
  return [remoteKeysCase(rounds), joinCase(rounds), announceCase(rounds)];
}

/** Measures the memory for a key that is connected to another relay. */
function remoteKeysCase(rounds: number): Case {
  return {
    name: 'remote-keys',
    title: `${REMOTE_KEYS} keys at another relay of the region`,
    metrics: [{ key: 'bytesPerKey', title: 'RSS bytes/key', digits: 0, ratio: true }],
    ...{ ...ORDINARY, fresh: Fresh.Always, rounds },
    run: (server, context) =>
      withSibling(server, context, false, async (member, sibling) => {
        await sibling.listen();
        await sibling.heard('joined');
        await quiet(member.pid);
        const before = residentBytes(member.pid);
        await sibling.addKeys(REMOTE_KEYS);
        await quiet(member.pid);
        const after = residentBytes(member.pid);
        const values = {
          bytesPerKey: (after - before) / REMOTE_KEYS,
          rssBeforeMiB: before / 2 ** 20,
          rssAfterMiB: after / 2 ** 20,
        };
        return { values, foreignShare: null, notes: [] };
      }),
  };
}

/** Measures the time in which a relay joins another one with many clients: from the connection until packets for all clients arrive. */
function joinCase(rounds: number): Case {
  return {
    name: 'join',
    title: `joining a relay of ${JOIN_KEYS} keys, and a pair of clients meanwhile`,
    metrics: [
      { key: 'joinMs', title: 'until it forwards to all, ms', digits: 0, ratio: true },
      { key: 'beforeMs', title: 'pair before: p99 ms', digits: 1, ratio: false },
      { key: 'p99Ms', title: 'meanwhile: p99 ms', digits: 1, ratio: true },
      { key: 'longestMs', title: 'longest ms', digits: 1, ratio: true },
      { key: 'loopBeforeMs', title: 'its timers before: latest ms', digits: 1, ratio: false },
      { key: 'loopP99Ms', title: 'meanwhile: p99 ms', digits: 1, ratio: false },
      { key: 'loopMaxMs', title: 'latest ms', digits: 1, ratio: false },
    ],
    ...{ ...ORDINARY, fresh: Fresh.Always, rounds },
    run: (server, context) =>
      withSibling(server, context, true, async (member, sibling) => {
        const watched = await sibling.addKeys(JOIN_KEYS);
        const pair = await LocalPair.connect(member.address, context.files);
        try {
          await sleep(PAIR_WARM_MS);
          // This call starts a new measurement: the value since the start of the relay is not used.
          await member.loopDelay();
          await sleep(PAIR_WARM_MS);
          const idle = await member.loopDelay();
          await sibling.listen();
          const joined = await sibling.heard('joined');
          pair.begin(watched);
          const reached = await sibling.heard('reached');
          await sleep(PAIR_AFTER_MS);
          const busy = await member.loopDelay();
          const values = {
            joinMs: reached.at - joined.at,
            beforeMs: pair.delays(-Infinity, joined.at).p99Ms,
            ...pair.delays(joined.at, Infinity),
            loopBeforeMs: idle?.maxMs ?? null,
            loopP99Ms: busy?.p99Ms ?? null,
            loopMaxMs: busy?.maxMs ?? null,
          };
          return { values, foreignShare: null, notes: [] };
        } finally {
          pair.close();
        }
      }),
  };
}

/** Waits until a process is idle. Throws an Error if it stays busy. */
async function quiet(pid: number): Promise<void> {
  for (let i = 0; i < QUIET_PATIENCE_SECONDS; i++) {
    const before = cpuTicks(pid);
    await sleep(1000);
    if (i > 0 && cpuTicks(pid) - before < QUIET_TICKS) return;
  }
  throw new Error(`process ${pid} is still busy after ${QUIET_PATIENCE_SECONDS} s`);
}

function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}
