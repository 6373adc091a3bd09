import { z } from 'zod';
import { describeFound } from '../problems.ts';
import { admissionSourceKinds, type AdmissionSourceConfig } from './admission-sources.ts';
import { key, section } from './fields.ts';
import { entryJsonSchema, pathFieldsOf, readEntry } from './list-entries.ts';
import { filePath, texts, toggle, type Value } from './values.ts';

/** Which clients may connect. */
export interface AdmissionConfig {
  readonly open: boolean;
  /** The directory that keeps fetched lists of sources over a restart. */
  readonly cacheDirectory: string;
  /** Names of client programs that are refused. */
  readonly denyApps: readonly string[];
  readonly sources: readonly AdmissionSourceConfig[];
}

const APP_NAME = /^[\x20-\x7e]{1,32}$/;
/** Most sources. It limits the number of metric labels. */
const MOST_SOURCES = 32;
/** Labels of counts that do not belong to a single source. */
const RESERVED_NAMES = new Set(['all', 'open', 'error', 'exempt', 'operator']);
const KINDS = Object.keys(admissionSourceKinds) as (keyof typeof admissionSourceKinds)[];
/** A source as it was read: its name may be left out. */
type Unnamed = Omit<AdmissionSourceConfig, 'name'> & { readonly name?: string | undefined };
const ALLOWED = `a list of sources, each with a kind: ${KINDS.join(', ')} (docs/admission.md)`;

export const admission: z.ZodType<AdmissionConfig> = section(
  'Who may use the relay. Without sources, everyone may. With several sources, it is enough that one of them admits the client. A deny list always wins.',
  {
    open: key(toggle(), false, 'The relay is open to everyone on purpose; there is no warning at the start.'),
    cacheDirectory: key(
      filePath(),
      '/var/lib/towpath/admission',
      'Directory with copies of the node lists, so that the relay can start while a source is down.',
    ),
    denyApps: key(
      texts(APP_NAME, 'names of up to 32 printable ASCII characters'),
      [],
      'Client programs to refuse, by the exact application name that they send (AppName).',
      { flag: false },
    ),
    sources: key(
      sourceList(),
      [],
      'Sources that say who may use the relay: files, the Tailscale API, Headscale, a web service or tailscaled; see docs/admission.md.',
      { flag: false },
    ),
  },
  {
    check: ({ open, sources }, refuse) => {
      const admits = sources.some((source) => source.kind !== 'keys' || source.allowFile !== undefined);
      if (open && admits)
        refuse('open', 'found true; allowed: false, because admission.sources says who may use the relay');
      if (!open && !admits && sources.length > 0) {
        refuse(
          'sources',
          'with only deny lists, no client is admitted; add a source that admits keys, or set open: true to admit everyone else',
        );
      }
    },
  },
);

/** The list of sources; every entry is checked by the schema of its kind. */
function sourceList(): Value<AdmissionSourceConfig[]> {
  const schema = z.unknown().transform((input, context) => {
    const found: AdmissionSourceConfig[] = [];
    const names = new Set<string>();
    const refuse = (message: string, ...path: number[]): void => {
      context.addIssue({ code: 'custom', message, path, params: { combination: true } });
    };
    if (!Array.isArray(input)) {
      refuse(`found ${input === null ? 'nothing' : typeof input}; allowed: ${ALLOWED}`);
      return [];
    }
    if (input.length > MOST_SOURCES) refuse(`found ${input.length} sources; allowed: up to ${MOST_SOURCES}`);
    for (const [i, entry] of (input as unknown[]).entries()) {
      const source = readSource(entry, (message) => refuse(message, i));
      if (source === null) continue;
      if (names.has(source.name) || RESERVED_NAMES.has(source.name)) {
        refuse(`name: ${source.name} is taken; give this source a name of its own`, i);
      }
      names.add(source.name);
      found.push(source);
    }
    return found;
  });
  const items = { anyOf: KINDS.map((kind) => entryJsonSchema(admissionSourceKinds[kind], ['kind'])) };
  return {
    schema: schema.meta({ type: 'array', items }),
    kind: 'json',
    allowed: ALLOWED,
    pathFields: KINDS.flatMap((kind) => pathFieldsOf(admissionSourceKinds[kind])),
  };
}

function readSource(entry: unknown, refuse: (message: string) => void): AdmissionSourceConfig | null {
  if (typeof entry !== 'object' || entry === null || !('kind' in entry)) {
    refuse(`kind: is missing; allowed: one of ${KINDS.join(', ')}`);
    return null;
  }
  const kind = KINDS.find((known) => known === entry.kind);
  if (kind === undefined) {
    refuse(`kind: found ${describeFound(entry.kind)}; allowed: one of ${KINDS.join(', ')}`);
    return null;
  }
  const source = readEntry<Unnamed>(admissionSourceKinds[kind], entry, refuse);
  return source === null ? null : ({ ...source, name: source.name ?? kind } as AdmissionSourceConfig);
}
