import { randomBytes } from 'node:crypto';
import type { MakeDatagramRules } from './port.ts';
import { UdpRelayRules, type UdpRelaySettings } from './rules.ts';
import { createStunOnly } from './stun-only.ts';

/** Makes the rules of the peer relay; without settings, rules that drop everything. */
export const makeRelayRules: MakeDatagramRules<UdpRelaySettings | null> = (settings, memory, places, now, counts) =>
  settings === null ? createStunOnly(counts) : new UdpRelayRules(settings, memory, places, now, randomBytes);
