/** Writes docs/refusals.md from the explanations that the status page shows: `npm run docs:refusals`. A test compares. */
import { writeFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';
import { REFUSAL_HELP } from '../src/observe/refusal-help.ts';

/** The page. */
export const DOCUMENT: URL = new URL('../docs/refusals.md', import.meta.url);

const HEAD = `# Why a connection was refused or ended

<!-- made by "npm run docs:refusals" -->

Each refusal has a reason. The log names it, \`towpath_refusals_total{reason="…"}\` counts it, and the table Refusals of the
[status page](status-page.md) shows those of the last hour with their addresses. This is what each means, and what to do.
`;

/** The text of docs/refusals.md as the code has it now. */
export async function refusalDocs(): Promise<string> {
  const sections = Object.entries(REFUSAL_HELP).map(([reason, { meaning, advice }]) => {
    return `## \`${reason}\`\n\n${meaning}\n\n**What to do:** ${advice}\n`;
  });
  const options = await resolveConfig(DOCUMENT);
  return format([HEAD, ...sections].join('\n'), { ...options, parser: 'markdown' });
}

if (import.meta.main) writeFileSync(DOCUMENT, await refusalDocs());
