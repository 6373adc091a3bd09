/** Tests the Helm chart: lint, and its output for several sets of values, checked against the types of the Kubernetes API. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { runAnyway, run } from './command.ts';

const [archive, work, render] = process.argv.slice(2) as [string, string, string];

interface Resource {
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  spec: {
    template?: { spec: PodSpec };
    type?: string;
    clusterIP?: string;
    ports?: { port: number; targetPort: string }[];
  };
}

interface PodSpec {
  enableServiceLinks: boolean;
  hostNetwork?: boolean;
  securityContext: { runAsUser: number };
  containers: {
    image: string;
    securityContext: { readOnlyRootFilesystem: boolean };
    volumeMounts: { mountPath: string; subPath?: string }[];
  }[];
}

const CLOSED = { config: { hostname: 'derp.example.com', admission: { sources: [{ kind: 'tailscaled' }] } } };

function template(values: object): Map<string, Resource> {
  const file = path.join(work, 'values.yaml');
  writeFileSync(file, JSON.stringify(values));
  const text = run(render, [chart, file]);
  const resources = parseAllDocuments(text)
    .map((document) => document.toJS() as Resource | null)
    .filter((resource) => resource !== null);
  return new Map(resources.map((resource) => [`${resource.kind} ${resource.metadata.name}`, resource]));
}

/** Reads the configuration in the ConfigMap, as the relay does. */
function configOf(resources: Map<string, Resource>): ReturnType<typeof loadConfig>['config'] {
  const file = path.join(work, 'towpath.yaml');
  writeFileSync(file, resources.get('ConfigMap towpath')!.data!['towpath.yaml']!);
  return loadConfig({ file }).config;
}

function podOf(resources: Map<string, Resource>): PodSpec {
  return resources.get('StatefulSet towpath')!.spec.template!.spec;
}

run('tar', ['-C', work, '-xzf', archive]);
const chart = path.join(work, 'towpath');
const values = path.join(work, 'values.yaml');
const plain = template(CLOSED);
assert.deepEqual(podOf(plain).enableServiceLinks, false);
assert.deepEqual(podOf(plain).securityContext.runAsUser, 65_532);
assert.ok(podOf(plain).containers[0]!.securityContext.readOnlyRootFilesystem);
assert.equal(plain.get('Service towpath')!.spec.type, 'LoadBalancer');
assert.ok(plain.has('PodDisruptionBudget towpath') && !plain.has('ServiceMonitor towpath'));
const config = configOf(plain);
assert.deepEqual([config.listen[0]?.port, config.derpPort, config.stun.listen[0]?.port], [8443, 443, 3478]);

const host = template({
  ...CLOSED,
  network: 'hostNetwork',
  tlsSecretName: 'tls',
  keySecretName: 'key',
  files: { keys: '' },
});
assert.deepEqual([podOf(host).hostNetwork, host.get('Service towpath')!.spec.clusterIP], [true, 'None']);
assert.deepEqual([configOf(host).listen[0]?.port, configOf(host).certificate.file], [443, '/etc/towpath/tls/tls.crt']);
assert.equal(configOf(host).keyFile, '/etc/towpath/key/derper.key');
const mounts = podOf(host).containers[0]!.volumeMounts;
for (const { mountPath, subPath } of mounts.filter(({ mountPath }) => /tls|key|files/.test(mountPath))) {
  assert.equal(subPath, undefined, `${mountPath} follows the link ..data`);
}

const watched = template({
  ...CLOSED,
  serviceMonitor: { enabled: true, tokenSecretName: 'token' },
  persistence: { enabled: false },
});
for (const name of ['ServiceMonitor towpath', 'Service towpath-metrics']) assert.ok(watched.has(name), name);
assert.equal(configOf(watched).admin.listen?.port, 9090);

const open = template({ config: { publicIp: ['203.0.113.7'], admission: { open: true, sources: [] } } });
assert.equal(configOf(open).admission.open, true);
for (const [wrong, why] of [
  [{}, 'admission.sources is empty'],
  [{ config: { admission: { open: true } } }, 'hostname is empty'],
  [{ ...CLOSED, network: 'other' }, 'network must be'],
  [{ ...CLOSED, serviceMonitor: { enabled: true } }, 'tokenSecretName is empty'],
] as const) {
  writeFileSync(values, JSON.stringify(wrong));
  assert.match(runAnyway(render, [chart, values]), new RegExp(why));
}
const relay = path.join(chart, 'templates/relay.yaml');
writeFileSync(relay, readFileSync(relay, 'utf8').replace('readOnlyRootFilesystem', 'readOnlyRoot'));
writeFileSync(values, JSON.stringify(CLOSED));
assert.match(
  runAnyway(render, [chart, values]),
  /unknown field "spec\.template\.spec\.containers\[0\]\.securityContext\.readOnlyRoot"/,
);
console.log(`  ${plain.size}, ${host.size}, ${watched.size} resources`);
