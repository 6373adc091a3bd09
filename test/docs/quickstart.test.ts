import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PAGE = readFileSync(path.join(ROOT, 'docs/quickstart.md'), 'utf8');
const folder = mkdtempSync(path.join(tmpdir(), 'towpath-quickstart-'));
after(() => rmSync(folder, { recursive: true }));

/** Returns the shell commands of the page after a mark. */
function blocks(mark: string): string[] {
  const pattern = new RegExp(`<!-- ${mark} -->\\n\\n\`\`\`sh\\n([\\s\\S]*?)\`\`\``, 'g');
  return [...PAGE.matchAll(pattern)].map((match) => match[1]!);
}

/** An isolated machine needs root and namespaces. */
const canIsolate = spawnSync('unshare', ['--mount', '--net', 'true']).status === 0;

/**
 * Follows the page literally, in a machine whose /etc/towpath, /var/lib/towpath and network are fresh: no systemd, so that
 * the relay is started as the page says for that case.
 */
test('docs/quickstart.md can be followed literally on a fresh machine', { skip: !canIsolate }, async () => {
  const [setUp, check] = blocks('followed by test/docs/quickstart\\.test\\.ts');
  const [serve] = blocks('the service');
  assert.ok(setUp !== undefined && check !== undefined && serve !== undefined);
  const towpath = path.join(folder, 'towpath');
  // Both may be in /root, which is replaced there.
  const [runtime, checkout] = [path.join(folder, 'runtime'), path.join(folder, 'checkout')];
  writeFileSync(towpath, `#!/bin/sh\nexec '${runtime}' '${checkout}/src/main.ts' "$@"\n`);
  chmodSync(towpath, 0o755);
  const script = `
set -eu
mkdir ${folder}/etc ${checkout}
touch ${runtime}
mount --bind '${process.execPath}' ${runtime}
mount --bind '${ROOT}' ${checkout}
cp /etc/passwd /etc/group /etc/nsswitch.conf ${folder}/etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /root
mount --bind ${folder}/etc /etc
mkdir /var/lib/towpath
ip link set lo up
ip address add 203.0.113.7/32 dev lo
${setUp}
(${serve.trim()}) > ${folder}/serve.log 2>&1 &
relay=$!
trap 'kill "$relay"' EXIT
for _ in $(seq 300); do
  if grep -q '"msg":"ready"' ${folder}/serve.log; then break; fi
  sleep 0.1
done
cp ${folder}/serve.log ${folder}/log
${check}
ls -l /root/towpath-backup.tar.gz /var/lib/towpath/derper.key
`;
  // A file and not a pipe: the pipes of Node are sockets, and the first command that ends closes it for the others.
  const output = openSync(path.join(folder, 'output'), 'w');
  const child = spawn('unshare', ['--mount', '--net', 'sh', '-c', script], {
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
    stdio: ['ignore', output, output],
  });
  const [code] = (await once(child, 'close')) as [number | null];
  closeSync(output);
  const out = readFileSync(path.join(folder, 'output'), 'utf8');
  assert.equal(code, 0, out);
  assert.match(out, /wrote \/etc\/towpath\/towpath\.yaml/);
  assert.match(out, /✓ Login/);
  assert.match(out, /✓ Packets/);
  assert.match(out, /All good/);
  assert.match(out, /towpath-backup\.tar\.gz/);
});
