import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { AdmissionConfig } from '../config/schema/admission.ts';
import type {
  AdmissionSourceConfig,
  HeadscaleSourceConfig,
  TailscaleApiSourceConfig,
} from '../config/schema/admission-sources.ts';
import { AskedSource } from './asked-source.ts';
import { headscaleNodes, headscaleVerifyUrl } from './headscale.ts';
import { KeysSource } from './keys-source.ts';
import { ListCache } from './list-cache.ts';
import type { NodeList } from './node-facts.ts';
import { PolledSource } from './polled-source.ts';
import { openSecret } from './secret.ts';
import { SourceAdmission, type SharedState } from './source-admission.ts';
import type { Source, SourceParts } from './source.ts';
import { tailscaleDevices } from './tailscale-api.ts';
import { whoIsRequest } from './tailscaled.ts';
import { verifyRequest } from './verify-request.ts';

/**
 * Opens admission as configured. Throws a TowpathError when a key file is unusable. Without sources and without `open:
 * true` it logs a warning that everyone is admitted. `shared` is the shared state of the admission that this one
 * replaces.
 */
export function openSourceAdmission(
  config: Omit<AdmissionConfig, 'denyApps'>,
  parts: SourceParts,
  shared?: SharedState,
): SourceAdmission {
  const { sources, cacheDirectory } = config;
  if (sources.length === 0 && !config.open) {
    parts.log.warn(
      { docs: 'docs/admission.md' },
      'THIS RELAY IS OPEN TO EVERYONE: no admission source is configured; add one, or state admission.open: true',
    );
  }
  const opened = sources.map((source) => openSource(source, cacheDirectory, parts));
  return new SourceAdmission(opened, config.open || sources.length === 0, parts, shared);
}

function openSource(config: AdmissionSourceConfig, cacheDirectory: string, parts: SourceParts): Source {
  switch (config.kind) {
    case 'keys':
      return new KeysSource(config, parts);
    case 'tailscale-api':
      return polled(
        config,
        tailscaleDevices(config, parts.now),
        `${config.baseUrl} ${config.tailnet} ${credentialOf(config)}`,
        cacheDirectory,
        parts,
      );
    case 'headscale':
      if (config.mode === 'api')
        return polled(config, headscaleNodes(config, parts.now), config.url, cacheDirectory, parts);
      return new AskedSource(
        {
          ...config,
          request: verifyRequest(headscaleVerifyUrl(config), config.timeoutSeconds * 1000, null),
          isByAddress: false,
          no: 'Headscale has no node with this key',
        },
        parts,
      );
    case 'webhook':
      return new AskedSource(
        {
          ...config,
          request: verifyRequest(config.url, config.timeoutSeconds * 1000, openSecret(config.token, config.tokenFile)),
          isByAddress: true,
          no: 'the web service refused the key',
        },
        parts,
      );
    case 'tailscaled':
      return new AskedSource(
        {
          ...config,
          request: whoIsRequest(config.socket, config.timeoutSeconds * 1000),
          isByAddress: false,
          no: 'tailscaled knows no node with this key',
        },
        parts,
      );
  }
}

function polled(
  config: TailscaleApiSourceConfig | HeadscaleSourceConfig,
  fetchNodes: () => Promise<NodeList>,
  origin: string,
  cacheDirectory: string,
  parts: SourceParts,
): PolledSource {
  const cache = new ListCache(join(cacheDirectory, `${config.name}.json`), fingerprint(`${config.kind} ${origin}`));
  return new PolledSource({ ...config, fetchNodes, cache }, parts);
}

/**
 * Returns the name of the credential's file or variable: with the tailnet `-`, the credential decides which tailnet is
 * meant.
 */
function credentialOf({ apiKey, apiKeyFile, clientId }: TailscaleApiSourceConfig): string {
  return clientId ?? apiKeyFile ?? apiKey ?? '';
}

function fingerprint(origin: string): string {
  return createHash('sha256').update(origin).digest('hex').slice(0, 16);
}
