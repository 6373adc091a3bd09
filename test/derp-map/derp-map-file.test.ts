import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readDerpMap } from '../../src/derp-map/derp-map-file.ts';
import { readTargets } from '../../src/cli/probe-targets.ts';
import { TowpathError } from '../../src/base/errors.ts';
import type { AddressInfo } from 'node:net';

const directory = mkdtempSync(join(tmpdir(), 'towpath-map-'));
after(() => rmSync(directory, { recursive: true }));

const NODE = '"Name": "a", "RegionID": 900, "HostName": "127.0.0.1"';
const EXPECTED = {
  Regions: {
    900: {
      RegionID: 900,
      RegionCode: '',
      RegionName: '',
      Nodes: [{ Name: 'a', RegionID: 900, HostName: '127.0.0.1', DERPPort: 15_030, InsecureForTests: true }],
    },
  },
};
const REGIONS = `"Regions": {"900": {"RegionID": 900, "Nodes": [{${NODE},\n"DERPPort": 15030, // mine\n"InsecureForTests": true}]}}`;

async function read(text: string): ReturnType<typeof readDerpMap> {
  const file = join(directory, 'map');
  writeFileSync(file, text);
  return readDerpMap(file, 1000);
}

/** Reads with a limit of two seconds, because an endless file would take the whole time of the test. */
async function refused(place: string): Promise<string> {
  const error = await readDerpMap(place, 2000).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof TowpathError, String(error));
  return error.message;
}

async function refusedText(text: string): Promise<string> {
  const file = join(directory, 'refused');
  writeFileSync(file, text);
  return refused(file);
}

describe('a DERP map in a file', () => {
  it('in every form that a person has one in', async () => {
    const forms = {
      map: `{${REGIONS}}`,
      policy: `{\n/* who */\n"acls":[], // none\n"derpMap": {${REGIONS},},\n}`,
      'policy in other spelling': `{"DERPMap": {${REGIONS.replace('"Regions"', '"regions"').replace('"HostName"', '"hostname"')}}}`,
      'what derp-map prints': `// a note\n"derpMap": {${REGIONS}},\n// the end`,
      'with a byte order mark and Windows line ends': `\uFEFF// x\r\n{${REGIONS.replaceAll('\n', '\r\n')}}\r\n`,
      'with tabs': `{\t${REGIONS.replaceAll('\n', '\n\t')}}`,
      headscale:
        'regions: # ours\n  900:\n    regionid: 900\n    nodes:\n      - name: a\n        regionid: 900\n        hostname: 127.0.0.1\n        derpport: 15030 # mine\n        insecurefortests: true\n',
      'YAML in one line':
        '{regions: {900: {regionid: 900, nodes: [{name: a, hostname: 127.0.0.1, derpport: 15030, insecurefortests: true}]}}}',
    };
    for (const [name, text] of Object.entries(forms)) assert.deepEqual(await read(text), EXPECTED, name);
  });

  it('says what is wrong with others, and in which line', async () => {
    assert.match(
      await refusedText(`{${REGIONS.replace('15030,', '15030')}}`),
      /refused: line 3, column 1: comma expected$/,
    );
    assert.match(await refusedText('{"acls": [] // none\n}'), /there is neither Regions nor derpMap$/);
    assert.match(await refusedText(''), /neither Regions nor derpMap$/);
    assert.match(
      await refusedText('{"derpMap": {}, "DERPMap": {}}'),
      /the key "DERPMap" is there twice, in different spelling$/,
    );
    assert.match(await refusedText('regions:\n  900: {}\n  900: {}\n'), /line 3: the key "900" is there twice$/);
    assert.match(
      await refusedText(`{"Regions": {},\n"Regions": {}}`),
      /line 2, column 1: the key "Regions" is there twice/,
    );
    assert.match(
      await refusedText('{"Regions": {"9": {"RegionID": 9, "RegionID ": 1, "regionid": 8}}}'),
      /^Regions\.9: regionid is there twice, in different spelling$/,
    );
    assert.match(await refusedText('{"Regions": {"9": {"RegionID": "9"}}}'), /RegionID is not a whole number/);
    assert.match(
      await refusedText('{"Regions": {"09": {"RegionID": 9}}}'),
      /RegionID is 9, but the key of the region is 09/,
    );
    assert.match(await refused(directory), /cannot be read: EISDIR/);
  });

  it('reads no more than 4 MiB, and looks at no more than 1000 relays', async () => {
    assert.match(await refusedText(' '.repeat(100_000_000)), /it is longer than 4 MiB$/);
    assert.match(await refused('/dev/zero'), /it is longer than 4 MiB$/);
    const regions = Array.from({ length: 60_000 }, (_, id) => `"${id + 1}": {"RegionID": ${id + 1}, "Nodes": []}`);
    assert.equal(Object.keys((await read(`{"Regions": {${regions.join()}}}`)).Regions).length, 60_000);
    const nodes = Array.from({ length: 30_000 }, (_, at) => `{"Name": "${at}", "HostName": "h", "STUNOnly": true}`);
    const file = join(directory, 'many');
    writeFileSync(file, `{"Regions": {"1": {"RegionID": 1, "Nodes": [${nodes.join()}]}}}`);
    await assert.rejects(readTargets(file, null, {}, 1000), /has 30000 relays/);
  });
});

describe('a DERP map at a URL', () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) server.closeAllConnections();
    for (const server of servers) server.close();
  });

  async function serving(answer: (response: ServerResponse) => void): Promise<string> {
    return listening(createServer((_request, response) => answer(response.on('error', () => undefined))));
  }

  async function listening(server: Server): Promise<string> {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/map.json`;
  }

  it('is read', async () => {
    const url = await serving((response) => response.end(`{${REGIONS}}`));
    assert.deepEqual(await readDerpMap(url, 5000), EXPECTED);
  });

  it('is asked for through the proxy that the environment names', async (t) => {
    const asked: (string | undefined)[] = [];
    const proxy = await listening(
      createServer(({ url }, response) => {
        asked.push(url);
        response.end(`{${REGIONS}}`);
      }),
    );
    const before = { ...process.env };
    t.after(() => (process.env = before));
    process.env = { ...before, http_proxy: new URL(proxy).origin, no_proxy: '' };
    assert.deepEqual(await readDerpMap('http://maps.test/map.json', 20_000), EXPECTED);
    assert.deepEqual(asked, ['http://maps.test/map.json']);
  });

  it('is named without its secrets, whatever is wrong with it', async () => {
    const empty = await serving((response) => response.end('{}'));
    const away = await serving((response) => response.writeHead(302, { Location: 'ftp://me:secret@x/' }).end());
    const places = [
      empty.replace('//', '//me:secret@'),
      `${empty}?token=secret`,
      `${empty}#secret`,
      away,
      ' https://me:secret@127.0.0.1:1/map.json',
      'https:/me:secret@127.0.0.1:1/map.json',
      'ftp://me:secret@x/map.json',
      'https://me:secret@:x/map.json',
    ];
    for (const place of places) assert.doesNotMatch(await refused(place), /secret/);
    for (const place of ['https://me:secret@:x/derp', 'https://me:secret@[/derp']) {
      await assert.rejects(readTargets(place, null, {}, 2000), (error) => {
        assert.ok(error instanceof TowpathError);
        assert.equal(error.code, 'TOWPATH_USAGE');
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  it('is read where redirects lead, of which there may be five', async () => {
    const end = await serving((response) => response.end(`{${REGIONS}}`));
    const to = (location: string): Promise<string> =>
      serving((response) => response.writeHead(302, { Location: location }).end());
    assert.deepEqual(await readDerpMap(await to(end), 20_000), EXPECTED);
    assert.match(await refused(await to('/map.json')), /cannot be fetched: more than 5 redirects$/);
    assert.match(await refused(await to('file:///etc/passwd')), /redirects to "file:.*not a web address$/);
    assert.match(
      await refused(await to(end.replace('//', '//me:secret@'))),
      /a user or a password in a URL is not sent$/,
    );
    const none = await serving((response) => response.writeHead(404).end());
    assert.match(await refused(none), /cannot be fetched: HTTP 404$/);
  });

  it('that never ends, or holds more than it seems, has an end', async () => {
    const endless = await serving((response) => {
      const chunk = Buffer.alloc(65_536, 0x20);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
        response.once('drain', more);
      };
      more();
    });
    assert.match(await refused(endless), /longer than 4 MiB/);
    const bomb = gzipSync(Buffer.alloc(200_000_000, 0x20));
    const packed = await serving((response) => response.setHeader('Content-Encoding', 'gzip').end(bomb));
    assert.match(await refused(packed), /longer than 4 MiB/);
  });

  it('that comes drop by drop, or not at all, ends at the time-out', async () => {
    const drip = await serving((response) => {
      const timer = setInterval(() => response.write(' '), 20);
      response.once('close', () => clearInterval(timer));
    });
    assert.match(await refused(drip), /cannot be fetched/);
    const silent = await serving(() => undefined);
    assert.match(await refused(silent), /cannot be fetched/);
    const headers = await serving((response) => {
      const timer = setInterval(() => response.socket?.write('X: y\r\n'), 20);
      response.socket?.write('HTTP/1.1 200 OK\r\n');
      response.once('close', () => clearInterval(timer));
    });
    assert.match(await refused(headers), /cannot be fetched/);
  });
});
