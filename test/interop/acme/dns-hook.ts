/** The hook of the dns-01 case: `node dns-hook.ts URL LOG set|clear NAME VALUE`. */
import { appendFileSync } from 'node:fs';

const [url = '', log = '', move = '', name = '', value = ''] = process.argv.slice(2);
const path = move === 'set' ? 'set-txt' : 'clear-txt';
const answer = await fetch(`${url}/${path}`, { method: 'POST', body: JSON.stringify({ host: `${name}.`, value }) });
appendFileSync(log, `${move} ${name}\n`);
process.exitCode = answer.ok ? 0 : 1;
