import type { Case } from './case.ts';
import { heldCases } from './held-cases.ts';
import { meshCases } from './mesh-cases.ts';
import { meshLoads } from './mesh-load-cases.ts';
import { threadsCase } from './threads-case.ts';
import { slowSiblingCase } from './slow-sibling-case.ts';
import { counterCase, mainLoads, moreLoads } from './load-cases.ts';
import type { BenchOptions } from './options.ts';

/**
 * Returns the cases of a run, in their order in each round. A case that needs the closed-loop rate adds
 * the closed-loop case. Throws an Error when none of the requested names exists.
 */
export function casesOf(options: BenchOptions): Case[] {
  const held = heldCases(options);
  const every = [
    ...mainLoads,
    ...moreLoads,
    counterCase,
    ...held,
    ...meshLoads,
    slowSiblingCase,
    ...meshCases(options.short),
    threadsCase,
  ];
  if (options.cases.length === 0) return options.short ? [...mainLoads, ...held] : every;
  const wanted = every.filter(({ name }) => isWanted(name, options.cases));
  const needed = wanted.some(({ needsCeiling }) => needsCeiling);
  const chosen = every.filter((one) => wanted.includes(one) || (needed && one.name === 'closed'));
  if (chosen.length === 0) throw new Error(`--cases: none of ${every.map(({ name }) => name).join(', ')} fits`);
  return chosen;
}

function isWanted(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}
