import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { ClientPolicy } from '../accounting/client-policy.ts';
import type { KeyUsage, Usage } from '../accounting/usage.ts';
import type { OpenConnection } from '../cluster/connections.ts';
import { Region, type RegionEvent, type RegionMember } from '../cluster/region.ts';
import { Valkey } from '../cluster/valkey.ts';
import type { Config } from '../config/schema.ts';
import type { KeyEnding } from '../relay/session/sessions.ts';
import type { Endpoint } from '../transport/port.ts';
import type { AdmissionService } from './admission.ts';

/** Length of this relay's id for the other relays. */
const RELAY_ID_CHARACTERS = 16;

export interface RegionMemberParts {
  readonly usage: Usage;
  readonly policy: ClientPolicy;
  readonly admission: AdmissionService;
  readonly relay: () => { endKeys(endings: readonly KeyEnding[]): unknown };
  /** Ends the connections and the UDP endpoints of a node key of 32 bytes, for an operator. */
  readonly disconnect: (key: Buffer) => void;
  readonly log: Logger;
  readonly publicKey: Buffer;
  readonly noted: (note: string | null) => void;
}

/** This relay as a member of its region: it knows its connections by key, and runs actions of other relays. */
export class ServiceRegionMember implements RegionMember {
  readonly region: Region;
  readonly #parts: RegionMemberParts;
  readonly #connectionsPerKey: number;
  readonly #open = new Map<string, OpenConnection[]>();

  /** Throws a TowpathError when the password cannot be read. */
  constructor({ cluster, region, limits }: Config, parts: RegionMemberParts) {
    this.#parts = parts;
    this.#connectionsPerKey = limits.connectionsPerKey;
    const valkey = new Valkey(cluster, `towpath:${region.id}`, (problem) => this.region.lost(problem));
    const relayId = createHash('sha256').update(parts.publicKey).digest('hex').slice(0, RELAY_ID_CHARACTERS);
    this.region = new Region({ valkey, relayId, member: this, log: parts.log, noted: parts.noted });
  }

  /** Records that a connection of a key has opened. */
  opened(key: string, { ip, port }: Endpoint): void {
    const connections = this.#open.get(key) ?? [];
    connections.push({ ip, port, openedAt: Date.now() });
    this.#open.set(key, connections);
    this.region.connectionsChanged(key);
    if (this.#parts.policy.hasQuota(key)) this.region.follow(key);
  }

  /** Records that a connection of a key has ended. */
  closed(key: string, { ip, port }: Endpoint): void {
    const left = this.connections(key).filter((connection) => connection.ip !== ip || connection.port !== port);
    if (left.length === 0) this.#open.delete(key);
    else this.#open.set(key, left);
    this.region.connectionsChanged(key);
  }

  get day(): string {
    return this.#parts.usage.day;
  }

  keysWithQuota(): Iterable<string> {
    return this.#parts.policy.keysWithQuota();
  }

  own(key: string): KeyUsage {
    return this.#parts.usage.own(key);
  }

  adopt(key: string, stored: KeyUsage): void {
    this.#parts.usage.adopt(key, stored);
  }

  setOthers(key: string, dayBytes: number, monthBytes: number): void {
    this.#parts.usage.setOthers(key, dayBytes, monthBytes);
  }

  changed(keys: readonly string[]): void {
    this.#parts.policy.check(keys);
  }

  connections(key: string): OpenConnection[] {
    return this.#open.get(key) ?? [];
  }

  connectionLimit(key: string): number {
    return this.#parts.policy.connectionLimit(key) ?? this.#connectionsPerKey;
  }

  end(key: string, remote: OpenConnection): void {
    const detail = 'the key has too many connections in the region';
    this.#parts.relay().endKeys([{ key: Buffer.from(key, 'hex'), refusal: 'key_connections', detail, remote }]);
  }

  apply(event: RegionEvent): void {
    const { admission, disconnect, log } = this.#parts;
    const { key, kind } = event;
    log.info({ audit: true, action: kind, key: key.slice(0, 8), by: 'another relay of the region' }, `action: ${kind}`);
    if (event.kind === 'deny') admission.deny(event);
    else if (kind === 'allow') admission.allow(key);
    else disconnect(Buffer.from(key, 'hex'));
  }
}
