import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';

const FOLDER = path.resolve(import.meta.dirname, '../../deploy/compose');

interface Service {
  environment: Record<string, string>;
  ports: string[];
  volumes: string[];
  read_only: boolean;
  cap_drop: string[];
}

function read(file: string): Service {
  const { services } = parse(readFileSync(path.join(FOLDER, file), 'utf8')) as { services: Record<string, Service> };
  return services['towpath']!;
}

for (const file of ['alone.yaml', 'headscale.yaml', 'caddy.yaml']) {
  describe(`deploy/compose/${file}`, () => {
    it('has a configuration that is right and closed, and publishes the ports of the relay', () => {
      const service = read(file);
      const { config } = loadConfig({ env: service.environment });
      assert.equal(config.admission.sources.length, 1);
      assert.notEqual(config.admission.open, true);
      const published = service.ports.map((port) => port.split(':')[1]);
      const own = [...(config.transport === 'tls' ? [...config.listen, ...config.http] : [])].map(
        ({ port }) => `${port}`,
      );
      assert.deepEqual(published, [...own, ...config.stun.listen.map(({ port }) => `${port}/udp`)]);
    });

    it('gives the container nothing that it does not need, and mounts files that are there', () => {
      const { read_only, cap_drop, volumes } = read(file);
      assert.deepEqual([read_only, cap_drop], [true, ['ALL']]);
      for (const [source = ''] of volumes.map((volume) => volume.split(':'))) {
        if (source.startsWith('.')) assert.ok(existsSync(path.join(FOLDER, source)), source);
      }
      assert.ok(volumes.some((volume) => volume.startsWith('state:/var/lib/towpath')));
    });

    it('starts', async (t) => {
      const { environment } = read(file);
      // Without the names of other containers and the files in this one; ports and folders are those of the test.
      const { TOWPATH_ADMISSION_SOURCES, TOWPATH_CERTIFICATE_MODE, ...rest } = environment;
      assert.ok(TOWPATH_ADMISSION_SOURCES !== undefined, String(TOWPATH_CERTIFICATE_MODE));
      const sources = TOWPATH_ADMISSION_SOURCES.replace('/etc/towpath', FOLDER);
      const env = { ...process.env, ...rest, TOWPATH_ADMISSION_SOURCES: sources };
      const relay = new RelayProcess(FREE_PORTS, undefined, undefined, undefined, { env });
      t.after(() => relay.clean());
      await relay.says(/"msg":"ready"|"msg":"towpath started"/, 60_000);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
    });
  });
}
