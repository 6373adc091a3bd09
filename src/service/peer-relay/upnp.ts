import { ipFamily } from '../../base/ip-address.ts';
import { requestHttp } from '../../transport/http/request.ts';
import type { ReachedAddress } from './reached-address.ts';
import { askRouter, type RouterDialogParts } from './router-dialog.ts';

const SSDP_IP = '239.255.255.250';
const SSDP_PORT = 1900;
const TIMEOUT_MS = 5000;
const DESCRIPTION_BYTES = 256 * 1024;
const ANSWER_BYTES = 32 * 1024;
/** Most services of one description that are checked. Routers have about ten. */
const MOST_SERVICES = 64;
/** Services that forward ports, the usual one first. */
const SERVICE = /^urn:schemas-upnp-org:service:(?:WANIPConnection:[12]|WANPPPConnection:1)$/;
/** Error code: the router supports only permanent mappings. */
const ONLY_PERMANENT = 725;
const CONFLICT = 718;

interface Service {
  readonly type: string;
  readonly url: URL;
}

/** What a router that speaks UPnP forwards. */
interface UpnpMapping {
  readonly addresses: readonly ReachedAddress[];
  /** Why it does not forward one of the ports; null: it forwards all. */
  readonly problem: string | null;
}

/**
 * Asks the router by UPnP (Internet Gateway Device) to forward UDP ports to this machine. Only the default gateway is
 * asked, and what it names elsewhere is not followed. Null: no such router answers. Rejects with an Error that says why
 * a router that answers forwards none of them: many forward only ports from 1024 on, and another machine may have one.
 */
export async function mapByUpnp(
  parts: RouterDialogParts,
  ports: readonly number[],
  lifetimeSeconds: number,
): Promise<UpnpMapping | null> {
  const location = await discover(parts);
  if (location === null) return null;
  const service = await readDescription(location);
  if (service === null) return null;
  const { localIp } = parts.gateway;
  const mapped: number[] = [];
  let problem: string | null = null;
  for (const port of ports) {
    const refusal = await addMapping(service, port, localIp, lifetimeSeconds);
    if (refusal === null) mapped.push(port);
    else problem ??= refusal;
  }
  if (mapped.length === 0 && problem !== null) throw new Error(problem);
  const answer = await call(service, 'GetExternalIPAddress', '');
  const ip = elementIn(answer.text, 'NewExternalIPAddress') ?? '';
  if (answer.status !== 200 || ipFamily(ip) !== 4)
    throw new Error('the router does not report its public address by UPnP');
  return { addresses: mapped.map((port) => ({ localPort: port, ip, port })), problem };
}

/** Returns the URL of the router's description; null when there is no answer, or one with a URL elsewhere. */
async function discover(parts: RouterDialogParts): Promise<URL | null> {
  const { gateway } = parts;
  let location: URL | null = null;
  const search = Buffer.from(
    [
      'M-SEARCH * HTTP/1.1',
      `HOST: ${SSDP_IP}:${SSDP_PORT}`,
      'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
      'MAN: "ssdp:discover"',
      'MX: 1',
      '',
      '',
    ].join('\r\n'),
  );
  await askRouter(
    parts,
    () => [SSDP_IP, gateway.ip].map((ip) => ({ bytes: search, ip, port: SSDP_PORT })),
    (bytes, from, to) => {
      const text = bytes.toString('latin1', from, to);
      const url = URL.parse(/^location:[ \t]*(\S+)/im.exec(text)?.[1] ?? '');
      if (/^HTTP\/1\.[01] 200 /.test(text) && url?.protocol === 'http:' && url.hostname === gateway.ip) location = url;
    },
    () => location !== null,
  );
  return location;
}

/** Returns the service of the router that forwards ports; null when it has none. */
async function readDescription(location: URL): Promise<Service | null> {
  const { status, text } = await request(location, 'GET', {}, null, DESCRIPTION_BYTES);
  if (status !== 200) return null;
  // Split, because a pattern over all of it takes seconds when a hostile description opens the element and never closes it.
  for (const part of text.split('<service>').slice(1, 1 + MOST_SERVICES)) {
    const [service = ''] = part.split('</service>', 1);
    const type = elementIn(service, 'serviceType') ?? '';
    const url = URL.parse(elementIn(service, 'controlURL') ?? '', location.href);
    if (SERVICE.test(type) && url !== null && url.host === location.host) return { type, url };
  }
  return null;
}

/** Returns why the router does not forward a port, or null. */
async function addMapping(
  service: Service,
  port: number,
  localIp: string,
  lifetimeSeconds: number,
): Promise<string | null> {
  const mapping = (seconds: number): string =>
    `<NewRemoteHost></NewRemoteHost><NewExternalPort>${port}</NewExternalPort><NewProtocol>UDP</NewProtocol>` +
    `<NewInternalPort>${port}</NewInternalPort><NewInternalClient>${localIp}</NewInternalClient><NewEnabled>1</NewEnabled>` +
    `<NewPortMappingDescription>towpath</NewPortMappingDescription><NewLeaseDuration>${seconds}</NewLeaseDuration>`;
  let answer = await call(service, 'AddPortMapping', mapping(lifetimeSeconds));
  if (answer.error === ONLY_PERMANENT) answer = await call(service, 'AddPortMapping', mapping(0));
  if (answer.status === 200) return null;
  const why = answer.error === CONFLICT ? 'another machine has it' : `error ${answer.error ?? answer.status}`;
  return `the router does not forward port ${port} by UPnP: ${why}`;
}

async function call(
  { type, url }: Service,
  action: string,
  body: string,
): Promise<{ status: number; text: string; error: number | null }> {
  const envelope =
    `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ` +
    `s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${type}">${body}` +
    `</u:${action}></s:Body></s:Envelope>`;
  const headers = { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: `"${type}#${action}"` };
  const { status, text } = await request(url, 'POST', headers, envelope, ANSWER_BYTES);
  const code = elementIn(text, 'errorCode');
  return { status, text, error: code === null ? null : Number(code) };
}

async function request(
  url: URL,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: string | null,
  limitBytes: number,
): Promise<{ status: number; text: string }> {
  const answer = await requestHttp({
    url: url.href,
    method,
    headers,
    body,
    timeoutMs: TIMEOUT_MS,
    limitBytes,
    environment: null,
  });
  return { status: answer.status, text: answer.body.toString('utf8') };
}

/** Returns the trimmed text of the first element of this name; null when there is none. */
function elementIn(xml: string, name: string): string | null {
  const start = xml.indexOf(`<${name}>`);
  const end = start < 0 ? -1 : xml.indexOf(`</${name}>`, start);
  return end < 0 ? null : xml.slice(start + name.length + 2, end).trim();
}
