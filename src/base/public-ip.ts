import ipaddr from 'ipaddr.js';

/**
 * Whether the address may be used on the Internet: not private (RFC 1918, RFC 6598, ULA), loopback, link-local, multicast,
 * or reserved, for example for documentation. False for text that is not an IP address.
 */
export function isPublicIp(ip: string): boolean {
  if (!ipaddr.isValid(ip)) return false;
  const address = ipaddr.process(ip);
  // Only this part of IPv6 is assigned. The library treats every range without another use as public.
  return address.range() === 'unicast' && (address.kind() === 'ipv4' || (address.toByteArray()[0]! & 0xe0) === 0x20);
}
