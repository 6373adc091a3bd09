import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { filePath, integer, text, texts } from './values.ts';

/** The other relays of the region. */
export interface MeshConfig {
  /** `env:NAME` or `credential:NAME`. At most one of the two. */
  readonly key?: string | undefined;
  readonly keyFile?: string | undefined;
  /** The entries as text, see {@link MESH_ENTRY}. */
  readonly with: readonly string[];
  readonly caFile?: string | undefined;
  readonly queueBytes: number;
  readonly clientsPerRelay: number;
}

/**
 * An entry of `mesh.with`: scheme, host and port, and the pin of the certificate. The groups are the scheme, an IPv6 address,
 * another host, the port and the hash.
 */
export const MESH_ENTRY: RegExp =
  /^(?:(https?):\/\/)?(?:\[([0-9a-f:.]+)\]|([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?\.?))(?::(\d{1,5}))?(?:#sha256-raw:([0-9a-f]{64}))?$/i;
const SECRET_REFERENCE = /^(?:env:[A-Za-z_][A-Za-z0-9_]*|credential:[A-Za-z0-9][A-Za-z0-9_.-]*)$/;
/** Smallest queue in bytes. A smaller queue would drop packets that a fast link takes at once. */
const LEAST_QUEUE_BYTES = 65_536 + 1024;

export const mesh: z.ZodType<MeshConfig> = section(
  'Other relays of the same region. Clients of all of them reach each other (docs/region.md).',
  {
    key: optionalKey(
      text(SECRET_REFERENCE, 'env:NAME for an environment variable, or credential:NAME for a credential of systemd'),
      'Where the mesh key is, when it is not in a file: env:NAME or credential:NAME.',
      { flag: false, secret: true },
    ),
    keyFile: optionalKey(
      filePath(),
      'File with the mesh key: 64 hex digits, the same for all relays of the region. During a change of the key it holds two, one in each line; the first one is used, both are accepted.',
    ),
    with: key(
      texts(MESH_ENTRY, 'addresses such as relay-b.example.com, 192.0.2.7:8443, http://10.0.0.2:3340'),
      [],
      'The other relays of the region, as host[:port]. A DNS name stands for all of its addresses. http:// in front means a relay without TLS; #sha256-raw:HASH behind it is the pin of its certificate.',
    ),
    caFile: optionalKey(
      filePath(),
      'File with certificate authorities (PEM) that are trusted for the other relays, besides those of the system.',
    ),
    queueBytes: key(
      integer(LEAST_QUEUE_BYTES, 1_073_741_824, 'bytes'),
      4_194_304,
      'Bytes of packets that wait for one other relay at most. Beyond it, the oldest are dropped.',
      { flag: false },
    ),
    clientsPerRelay: key(
      integer(1, 16_000_000, 'clients'),
      1_000_000,
      'Clients that one other relay may announce at most. Further ones cannot be reached from this relay: logged, and counted in towpath_mesh_link_refused_keys_total. A client takes about 50 bytes.',
      { flag: false },
    ),
  },
  {
    check: (values, refuse) => {
      if (values.key !== undefined && values.keyFile !== undefined)
        refuse('keyFile', 'cannot be used together with mesh.key');
      const wrong = values.with.find((entry) => Number(MESH_ENTRY.exec(entry)?.[4] ?? 1) > 65_535);
      if (wrong !== undefined) refuse('with', `found ${wrong}; allowed: ports up to 65535`);
      if (values.with.length > 0 && values.key === undefined && values.keyFile === undefined)
        refuse('with', 'needs a mesh key: set mesh.keyFile');
    },
  },
);
