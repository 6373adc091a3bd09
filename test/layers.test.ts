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

/** Trees that break one rule each, by the name of that rule. */
const BROKEN: Readonly<Record<string, Record<string, string>>> = {
  'folder-wire': {
    'src/wire/bad.ts': "import '../relay/routing/table.ts';\n",
    'src/relay/routing/table.ts': "import '../../wire/leaf.ts';\n",
  },
  'sockets-only-in-transport': {
    'src/relay/session/bad.ts': "import 'node:net';\nimport '../../wire/leaf.ts';\n",
  },
  'relay-without-service': {
    'src/relay/bad.ts': "import '../service/part.ts';\n",
    'src/service/part.ts': "import '../wire/leaf.ts';\n",
  },
  'every-file-in-a-folder': { 'src/helpers/bad.ts': "import '../wire/leaf.ts';\n" },
  'no-circular': { 'src/wire/a.ts': "import './b.ts';\n", 'src/wire/b.ts': "import './a.ts';\n" },
};

test('a forbidden import, a socket API, an unknown folder and a circle of imports fail the layer rules', () => {
  // In one tree, because each run of dependency-cruiser takes a second.
  const { status, output } = cruise(Object.assign({}, LEAF, ...Object.values(BROKEN)) as Record<string, string>);
  assert.notEqual(status, 0);
  for (const [rule, files] of Object.entries(BROKEN)) {
    const [broken] = Object.keys(files);
    assert.match(output, new RegExp(`${rule}: ${broken!}`), output);
  }
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
