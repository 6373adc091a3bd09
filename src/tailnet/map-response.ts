import { z } from 'zod';
import { ControlError } from './control-error.ts';

/**
 * The parts of a control server's JSON that we read (peer-relay reference §14, §15.3). A missing member counts as null:
 * "unchanged" or "none". Other members are ignored. A member of the wrong type is an error.
 */

type Entries<T> = Readonly<Record<string, T>>;

/** One rule of a packet filter, without ports. */
export interface FilterRule {
  readonly SrcIPs: readonly string[] | null;
  readonly CapGrant:
    | readonly {
        readonly Dsts: readonly string[] | null;
        readonly Caps: readonly string[] | null;
        readonly CapMap: Entries<unknown> | null;
      }[]
    | null;
}

/** A node of the tailnet. */
export interface MapNode {
  readonly ID: number;
  readonly Name: string | null;
  readonly Key: string | null;
  /** Base64, of tailnet lock. */
  readonly KeySignature: string | null;
  readonly DiscoKey: string | null;
  readonly Addresses: readonly string[] | null;
  readonly Cap: number | null;
  readonly HomeDERP: number | null;
  /** The older form of `HomeDERP`: `127.3.3.40:REGION`. */
  readonly DERP: string | null;
  readonly UnsignedPeerAPIOnly: boolean | null;
  readonly Expired: boolean | null;
  readonly KeyExpiry: string | null;
  readonly MachineAuthorized: boolean | null;
  readonly Online: boolean | null;
  readonly CapMap: Entries<unknown> | null;
  readonly Capabilities: readonly string[] | null;
}

/** Changes to one node. */
export interface MapPatch {
  readonly NodeID: number;
  readonly Key: string | null;
  readonly DiscoKey: string | null;
  readonly Cap: number | null;
  readonly DERPRegion: number | null;
  readonly Online: boolean | null;
  readonly KeyExpiry: string | null;
}

/** A server of the DERP map: the parts for STUN. */
export interface MapServer {
  readonly HostName: string | null;
  /** Empty or absent: look the name up. `none`: no address of this family. */
  readonly IPv4: string | null;
  readonly IPv6: string | null;
  /** 0 or absent: 3478; −1: no STUN. */
  readonly STUNPort: number | null;
}

/** A region of the DERP map. */
export interface MapRegion {
  readonly Nodes: readonly (MapServer | null)[] | null;
}

/** A request of the server to prove that this node is reachable. */
export interface PingRequest {
  readonly URL: string | null;
  readonly URLIsNoise: boolean | null;
  /** Empty or absent: a plain ping. Otherwise `c2n`, or a list with commas. */
  readonly Types: string | null;
  /** Target of a ping with types. */
  readonly IP: string | null;
  /** Of `c2n`: an HTTP request in base64. */
  readonly Payload: string | null;
}

/** One frame of the map stream. */
export interface MapResponse {
  readonly KeepAlive: boolean | null;
  readonly PingRequest: PingRequest | null;
  readonly Node: MapNode | null;
  readonly DERPMap: { readonly Regions: Entries<MapRegion | null> | null } | null;
  readonly Peers: readonly MapNode[] | null;
  readonly PeersChanged: readonly MapNode[] | null;
  readonly PeersRemoved: readonly number[] | null;
  readonly PeersChangedPatch: readonly (MapPatch | null)[] | null;
  readonly OnlineChange: Entries<boolean> | null;
  readonly PacketFilter: readonly FilterRule[] | null;
  readonly PacketFilters: Entries<readonly FilterRule[] | null> | null;
  readonly Domain: string | null;
  readonly Health: readonly string[] | null;
  readonly TKAInfo: { readonly Disabled: boolean | null } | null;
}

/** The answer to a registration. */
export interface RegisterResponse {
  readonly NodeKeyExpired: boolean | null;
  readonly MachineAuthorized: boolean | null;
  readonly AuthURL: string | null;
  readonly NodeKeySignature: string | null;
  readonly Error: string | null;
}

function orNull<T>(schema: z.ZodType<T>): z.ZodType<T | null> {
  return schema.nullable().default(null);
}

const text = orNull(z.string());
const flag = orNull(z.boolean());
const number = orNull(z.number());
const texts = orNull(z.array(z.string()));
const record = orNull(z.record(z.string(), z.unknown()));

const rules: z.ZodType<FilterRule[]> = z.array(
  z.object({
    SrcIPs: texts,
    CapGrant: orNull(z.array(z.object({ Dsts: texts, Caps: texts, CapMap: record }))),
  }),
);

const node: z.ZodType<MapNode> = z.object({
  ID: z.number(),
  Name: text,
  Key: text,
  KeySignature: text,
  DiscoKey: text,
  Addresses: texts,
  Cap: number,
  HomeDERP: number,
  DERP: text,
  UnsignedPeerAPIOnly: flag,
  Expired: flag,
  KeyExpiry: text,
  MachineAuthorized: flag,
  Online: flag,
  CapMap: record,
  Capabilities: texts,
});

const patch: z.ZodType<MapPatch> = z.object({
  NodeID: z.number(),
  Key: text,
  DiscoKey: text,
  Cap: number,
  DERPRegion: number,
  Online: flag,
  KeyExpiry: text,
});

const server: z.ZodType<MapServer> = z.object({ HostName: text, IPv4: text, IPv6: text, STUNPort: number });

const mapResponse: z.ZodType<MapResponse> = z.object({
  KeepAlive: flag,
  PingRequest: orNull(z.object({ URL: text, URLIsNoise: flag, Types: text, IP: text, Payload: text })),
  Node: orNull(node),
  DERPMap: orNull(
    z.object({
      Regions: orNull(z.record(z.string(), z.object({ Nodes: orNull(z.array(server.nullable())) }).nullable())),
    }),
  ),
  Peers: orNull(z.array(node)),
  PeersChanged: orNull(z.array(node)),
  PeersRemoved: orNull(z.array(z.number())),
  PeersChangedPatch: orNull(z.array(patch.nullable())),
  OnlineChange: orNull(z.record(z.string(), z.boolean())),
  PacketFilter: orNull(rules),
  PacketFilters: orNull(z.record(z.string(), rules.nullable())),
  Domain: text,
  Health: texts,
  TKAInfo: orNull(z.object({ Disabled: flag })),
});

const registerResponse: z.ZodType<RegisterResponse> = z.object({
  NodeKeyExpired: flag,
  MachineAuthorized: flag,
  AuthURL: text,
  NodeKeySignature: text,
  Error: text,
});

/** Checks a frame of the map stream; throws a {@link ControlError} that names the member at fault. */
export function readMapResponse(json: unknown): MapResponse {
  return check(mapResponse, json, 'network map');
}

/** Checks the answer to a registration; throws a {@link ControlError} that names the member at fault. */
export function readRegisterResponse(json: unknown): RegisterResponse {
  return check(registerResponse, json, 'answer to the registration');
}

function check<T>(schema: z.ZodType<T>, json: unknown, what: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.map(String).join('.')}`;
  throw new ControlError(
    'protocol',
    `the ${what} of the control server is wrong${where}: ${issue?.message ?? 'unreadable'}`,
  );
}
