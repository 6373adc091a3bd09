/** Addresses of the flood, all in a network namespace of its own. */
export const RELAY_IP = '2001:db8:ff::1';
export const RELAY_PORT = 8443;
/** Addresses of the attacker: many addresses of one /64, as a provider assigns it to one customer. */
export const ATTACKERS: readonly string[] = Array.from(
  { length: 256 },
  (_, i) => `2001:db8:bad:1:${(i * 251 + 1).toString(16)}:${(i ^ 0xa5).toString(16)}::${(i + 1).toString(16)}`,
);
