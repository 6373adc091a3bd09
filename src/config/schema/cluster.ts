import type { z } from 'zod';
import { optionalKey, section } from './fields.ts';
import { filePath, text } from './values.ts';

/** The server through which the relays of a region share data. */
export interface ClusterConfig {
  /** The URL of a Valkey or Redis server; undefined: each relay counts for itself. */
  readonly valkey?: string | undefined;
  readonly passwordFile?: string | undefined;
}

/** A password in the URL would end up in logs. */
const URL_PATTERN = /^(?:(?:redis|rediss|valkey|valkeys):\/\/[^\s/@]+(?:\/\d+)?|unix:\/\/\/[^\s]+)$/;

export const cluster: z.ZodType<ClusterConfig> = section(
  'Counts that the relays of a region share: quotas, connections of a key, denials; see docs/quotas.md.',
  {
    valkey: optionalKey(
      text(
        URL_PATTERN,
        'redis://HOST:PORT, rediss://HOST:PORT (TLS), valkey://HOST:PORT or unix:///PATH, without a password',
      ),
      'Valkey or Redis server that the relays of the region share. While it cannot be reached, each relay continues with its own counts.',
    ),
    passwordFile: optionalKey(filePath(), 'File with the password of the Valkey or Redis server.'),
  },
  {
    check: ({ valkey, passwordFile }, refuse) => {
      if (passwordFile !== undefined && valkey === undefined) refuse('passwordFile', 'needs cluster.valkey');
    },
  },
);
