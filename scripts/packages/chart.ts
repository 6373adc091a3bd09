/** Packs the Helm chart without Helm: `npm run build:chart`. An archive of a chart is its folder, packed with tar and gzip. */
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { ROOT, VERSION } from './executable.ts';
import { tarFolder } from './reproducible.ts';

const folder = path.join(ROOT, 'build', 'chart');
const output = path.join(ROOT, 'build', `towpath-${VERSION}.tgz`);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(path.join(ROOT, 'deploy/chart'), path.join(folder, 'towpath'), { recursive: true });
const chart = path.join(folder, 'towpath/Chart.yaml');
// The chart has the version of the image that it starts.
writeFileSync(chart, readFileSync(chart, 'utf8').replaceAll(/^(version|appVersion): .*$/gm, `$1: ${VERSION}`));
execFileSync('chmod', ['-R', 'u=rwX,go=rX', folder]);
const tar = `${folder}.tar`;
tarFolder(folder, tar, ['towpath']);
writeFileSync(output, gzipSync(readFileSync(tar), { level: 9 }));
rmSync(tar);
rmSync(folder, { recursive: true });
console.log(`${path.relative(ROOT, output)}: ${statSync(output).size} bytes`);
