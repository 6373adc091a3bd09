import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, copyFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { architectureDocs, DOCUMENT } from '../scripts/generate-layers-docs.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

/** Runs the layer rules over a tree of `files` instead of `src/`; returns the output of dependency-cruiser. */
function cruise(files: Record<string, string>): { status: number | null; output: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-layers-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeFileSync(path.join(folder, name), text);
    }
    for (const name of ['package.json', 'tsconfig.json', '.dependency-cruiser.cjs'])
      copyFileSync(path.join(ROOT, name), path.join(folder, name));
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    const command = path.join(ROOT, 'node_modules/.bin/depcruise');
    const run = spawnSync(process.execPath, [command, 'src', '--config', '.dependency-cruiser.cjs'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { status: run.status, output: run.stdout + run.stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const LEAF = { 'src/wire/leaf.ts': 'export const leaf = 1;\n' };

test('the layer rules accept an import that the table allows', () => {
  const { status, output } = cruise({ ...LEAF, 'src/relay/routing/user.ts': "import '../../wire/leaf.ts';\n" });
  assert.equal(status, 0, output);
});

test('a forbidden import fails the layer rules', () => {
  const { status, output } = cruise({
    ...LEAF,
    'src/wire/bad.ts': "import '../relay/routing/table.ts';\n",
    'src/relay/routing/table.ts': "import '../../wire/leaf.ts';\n",
  });
  assert.notEqual(status, 0);
  assert.match(output, /folder-wire/);
});

test('a socket API outside the Node adapter fails the layer rules', () => {
  const { status, output } = cruise({
    ...LEAF,
    'src/relay/session/bad.ts': "import 'node:net';\nimport '../../wire/leaf.ts';\n",
  });
  assert.notEqual(status, 0);
  assert.match(output, /sockets-only-in-transport/);
});

test('a relay that imports the service fails the layer rules', () => {
  const { status, output } = cruise({
    ...LEAF,
    'src/relay/bad.ts': "import '../service/part.ts';\n",
    'src/service/part.ts': "import '../wire/leaf.ts';\n",
  });
  assert.notEqual(status, 0);
  assert.match(output, /relay-without-service/);
});

test('a file outside the known folders fails the layer rules', () => {
  const { status, output } = cruise({ ...LEAF, 'src/helpers/bad.ts': "import '../wire/leaf.ts';\n" });
  assert.notEqual(status, 0);
  assert.match(output, /every-file-in-a-folder/);
});

test('a circle of imports fails the layer rules', () => {
  const { status, output } = cruise({ 'src/wire/a.ts': "import './b.ts';\n", 'src/wire/b.ts': "import './a.ts';\n" });
  assert.notEqual(status, 0);
  assert.match(output, /no-circular/);
});

test('docs/architecture.md says of each folder what the layer rules say', async () => {
  assert.equal(readFileSync(DOCUMENT, 'utf8'), await architectureDocs(), 'run "npm run docs:layers"');
});

test('in each folder, the file to read first says what the folder is for', async () => {
  const text = await architectureDocs();
  const first = [...text.matchAll(/^\| `([\w/-]+)` +\|[^|]*\| `([\w.-]+)` +\|/gm)];
  assert.ok(first.length > 20);
  for (const [, folder, file] of first) {
    const source = readFileSync(path.join(ROOT, 'src', folder!, file!), 'utf8');
    assert.match(source, /^\/\*\*\n \* \S/, `src/${folder!}/${file!} begins with a comment`);
  }
});
