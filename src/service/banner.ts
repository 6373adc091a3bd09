import { advertisedMap, validityNote } from '../derp-map/advertised-map.ts';
import type { Config } from '../config/schema.ts';
import { printableLines } from '../base/printable.ts';
import { formatHostPort } from '../base/ip-address.ts';
import { formatNodeKey } from '../wire/keys.ts';
import { formatPin } from '../wire/pin.ts';
import { formatDerpMap } from '../derp-map/derp-map-text.ts';
import type { Endpoint } from '../transport/port.ts';
import type { Service } from './service.ts';

/**
 * Returns the facts that an operator needs after the start: addresses, public key, certificate pin and the DERP map
 * entry, as text for a terminal. Ends with a newline.
 */
export function banner(config: Config, service: Service): string {
  const { derp, http, stun, admin } = service.addresses;
  const { names, notAfter, pinSha256, selfSigned, origin } = service.certificate.info();
  const days = Math.max(Math.floor((notAfter.getTime() - Date.now()) / 86_400_000), 0);
  const isPlain = config.transport === 'plain';
  const ownCertificate: [string, string][] = [
    [
      'certificate',
      `${origin ?? (selfSigned ? 'self-signed' : 'from files')}, for ${names.join(', ')}, ${days} days left`,
    ],
    ['pin', formatPin(pinSha256)],
  ];
  const rows: [string, string][] = [
    ['DERP', `${list(derp)} (${isPlain ? 'plain: a proxy does TLS' : 'TLS'})`],
    ['HTTP', http.length === 0 ? 'off' : list(http)],
    ['STUN', stun.length === 0 ? 'off' : `${list(stun)} (UDP)`],
    ['admin', admin === null ? 'off' : `http://${formatHostPort(admin.ip, admin.port)}/`],
    ['public key', formatNodeKey(service.keyPair.publicKey)],
    ...(service.isKeyNew ? [newKey(config)] : []),
    ...(isPlain ? [] : ownCertificate),
  ];
  const { map, comments, notes } = advertisedMap(config, service.certificate.info());
  const table = rows.map(([name, value]) => `  ${name.padEnd(12)}${value}\n`).join('');
  const validity = validityNote(service.certificate.info(), Date.now());
  const remarks = (validity === null ? notes : [...notes, validity]).map((note) => `  note: ${note}\n`).join('');
  const text = `\n${table}${remarks}\nFor the tailnet policy file (towpath derp-map prints other forms):\n\n${formatDerpMap(map, 'policy', comments)}\n`;
  return printableLines(text);
}

/** Tells the operator about a new key: if this is not the first start, the path of the key file is wrong. */
function newKey({ keyFile }: Config): [string, string] {
  return ['', `new: there was no key file, so the relay made ${keyFile}`];
}

function list(endpoints: readonly Endpoint[]): string {
  return endpoints.map(({ ip, port }) => formatHostPort(ip, port)).join(', ');
}
