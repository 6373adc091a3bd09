/**
 * The DERP map, the list of regions and relays that clients get from their control server. This file checks and reads
 * one, `derp-map-builder.ts` builds the entry of this relay, `derp-map-text.ts` prints it, `derp-map-file.ts` reads one
 * that others wrote.
 */
import { TowpathError } from '../base/errors.ts';

/** The DERP map that clients get from their control server, in its own spelling (protocol reference §8.1). */
export interface DerpMap {
  /** Key: decimal region id. */
  readonly Regions: Readonly<Record<string, DerpRegion>>;
  /** Do not merge in the regions of the provider. */
  readonly omitDefaultRegions?: boolean;
}

/** Relays that know of each other's clients. */
interface DerpRegion {
  readonly RegionID: number;
  readonly RegionCode: string;
  readonly RegionName: string;
  /** In the order in which clients try them. */
  readonly Nodes: readonly DerpNode[];
}

/** One relay, as clients reach it. */
export interface DerpNode {
  /** Unique over all regions. */
  readonly Name: string;
  readonly RegionID: number;
  /** DNS name or IP. */
  readonly HostName: string;
  /** Another certificate name, or `sha256-raw:` and a pin. */
  readonly CertName?: string;
  /** An address; anything else that is not empty means "not over this family". */
  readonly IPv4?: string;
  readonly IPv6?: string;
  /** 0: 3478; negative: none. */
  readonly STUNPort?: number;
  readonly STUNOnly?: boolean;
  /** 0: 443. */
  readonly DERPPort?: number;
  readonly InsecureForTests?: boolean;
  readonly CanPort80?: boolean;
}

/** Ports that are meant when a node names none. */
export const DEFAULT_DERP_PORT = 443;
export const DEFAULT_STUN_PORT = 3478;
const MAX_PORT = 65_535;

/** Reads a DERP map from parsed JSON or YAML. Keys are found in any case, as Go does. Throws `TOWPATH_DERP_MAP_INVALID`. */
export function parseDerpMap(value: unknown): DerpMap {
  const top = new Fields(value, 'the DERP map');
  const regions = Object.entries(top.object('Regions'));
  const names = new Set<string>();
  const parsed = regions
    // A null region takes one of the provider's regions out of the map.
    .filter(([, region]) => region !== null)
    .map(([id, region]) => [id, parseRegion(id, region, names)] as const);
  const omit = top.boolean('omitDefaultRegions');
  return { Regions: Object.fromEntries(parsed), ...(omit === undefined ? {} : { omitDefaultRegions: omit }) };
}

function parseRegion(id: string, value: unknown, names: Set<string>): DerpRegion {
  const where = `Regions.${id}`;
  const fields = new Fields(value, where);
  const regionId = fields.integer('RegionID', 1, Number.MAX_SAFE_INTEGER) ?? refuse(where, 'RegionID is missing');
  if (String(regionId) !== id) refuse(where, `RegionID is ${regionId}, but the key of the region is ${id}`);
  const nodes = fields.array('Nodes').map((node, index) => parseNode(node, `${where}.Nodes[${index}]`, regionId));
  for (const { Name } of nodes) {
    if (names.has(Name)) refuse(where, `two nodes have the Name "${Name}"`);
    names.add(Name);
  }
  return {
    RegionID: regionId,
    RegionCode: fields.string('RegionCode') ?? '',
    RegionName: fields.string('RegionName') ?? '',
    Nodes: nodes,
  };
}

function parseNode(value: unknown, where: string, regionId: number): DerpNode {
  const fields = new Fields(value, where);
  const given = fields.integer('RegionID', 0, Number.MAX_SAFE_INTEGER) ?? regionId;
  if (given !== regionId) refuse(where, `RegionID is ${given}, but the node is in region ${regionId}`);
  const required = (name: string): string => {
    const text = fields.string(name) ?? '';
    return text === '' ? refuse(where, `${name} is missing`) : text;
  };
  return withoutUndefined({
    Name: required('Name'),
    RegionID: regionId,
    HostName: required('HostName'),
    CertName: fields.string('CertName'),
    IPv4: fields.string('IPv4'),
    IPv6: fields.string('IPv6'),
    STUNPort: fields.integer('STUNPort', -MAX_PORT, MAX_PORT),
    STUNOnly: fields.boolean('STUNOnly'),
    DERPPort: fields.integer('DERPPort', 0, MAX_PORT),
    InsecureForTests: fields.boolean('InsecureForTests'),
    CanPort80: fields.boolean('CanPort80'),
  });
}

/** Fields that may be absent, but not undefined. */
type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Present<T>;
}

/** Typed access to an object whose keys may be in any case. */
class Fields {
  readonly #values = new Map<string, unknown>();
  readonly #where: string;

  constructor(value: unknown, where: string) {
    this.#where = where;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(where, 'this is not an object');
    for (const [name, entry] of Object.entries(value)) {
      const key = name.toLowerCase();
      if (this.#values.has(key)) refuse(where, `${name} is there twice, in different spelling`);
      this.#values.set(key, entry);
    }
  }

  string(name: string): string | undefined {
    const value = this.#get(name);
    return value === undefined || typeof value === 'string' ? value : refuse(this.#where, `${name} is not a text`);
  }

  boolean(name: string): boolean | undefined {
    const value = this.#get(name);
    return value === undefined || typeof value === 'boolean'
      ? value
      : refuse(this.#where, `${name} is not true or false`);
  }

  integer(name: string, least: number, most: number): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    return refuse(this.#where, `${name} is not a whole number from ${least} to ${most}`);
  }

  array(name: string): readonly unknown[] {
    const value = this.#get(name) ?? [];
    return Array.isArray(value) ? value : refuse(this.#where, `${name} is not a list`);
  }

  object(name: string): object {
    const value = this.#get(name) ?? {};
    return typeof value === 'object' && !Array.isArray(value) ? value : refuse(this.#where, `${name} is not an object`);
  }

  /** Go takes null for "not given". */
  #get(name: string): unknown {
    return this.#values.get(name.toLowerCase()) ?? undefined;
  }
}

function refuse(where: string, what: string): never {
  throw new TowpathError('TOWPATH_DERP_MAP_INVALID', `${where}: ${what}`, {
    hint: '"towpath derp-map" prints a map that works.',
  });
}
