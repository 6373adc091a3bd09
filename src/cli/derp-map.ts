import { InvalidArgumentError, Option, type Command } from 'commander';
import { advertisedMap, validityNote, type AdvertisedMap, type MapOverrides } from '../derp-map/advertised-map.ts';
import { proxyCertificate } from '../certificates/proxy-certificate.ts';
import { inspectCertificate, isCertificateStored, type CertificateSettings } from '../certificates/open.ts';
import type { CertificateInfo } from '../certificates/source.ts';
import { loadConfig, type ConfigSources } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { DERP_MAP_FORMATS, formatDerpMap, type DerpMapFormat } from '../derp-map/derp-map-text.ts';
import { printable, printableLines } from '../base/printable.ts';
import { ipFamily } from '../base/ip-address.ts';
import { addApplyFlags, applyToTailscale, type ApplyFlags } from './apply-policy.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';
import type { EventLog } from '../base/event-log.ts';

interface DerpMapOptions extends ApplyFlags {
  readonly format: DerpMapFormat;
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly stunPort?: number;
  readonly omitDefaultRegions?: boolean;
}

/** Keys that say where the relay is, and from which the names of its certificate come. */
const HOST_KEYS = new Set(['hostname', 'publicIp']);

type Note = (text: string) => void;

/** Adds `towpath derp-map` to the program. Standard output has only the map, so that it can be redirected. */
export function registerDerpMap(program: Command): void {
  const command = program
    .command('derp-map')
    .description("Print the relay's entry for the DERP map, or write it into the policy file of a tailnet");
  command
    .addOption(
      new Option(
        '--format <form>',
        'policy: the derpMap section of a tailnet policy file; headscale: a YAML file for Headscale; json: the DERP map as JSON',
      )
        .choices(DERP_MAP_FORMATS)
        .default('policy'),
    )
    .option('--ipv4 <ip>', 'IPv4 address in the entry, or none (default: from publicIp and hostname)', address(4))
    .option('--ipv6 <ip>', 'IPv6 address in the entry, or none (default: from publicIp and hostname)', address(6))
    .option(
      '--stun-port <number>',
      'STUN port in the entry, or -1 for none (default: from stun.advertisedPort and stun.listen)',
      stunPort,
    )
    .option('--omit-default-regions', 'tell clients to use only this relay, not the default regions of Tailscale');
  addApplyFlags(command);
  addConfigFlags(command).action(async (options: DerpMapOptions) => {
    const { writeErr, writeOut } = outputOf(command);
    const note: Note = (text) => writeErr(`towpath: ${printable(text)}\n`);
    const sources = { ...readConfigFlags(command), env: process.env };
    const { map, comments } = relayMap(sources, overridesOf(options), note);
    if (options.apply === 'tailscale') {
      await applyToTailscale(map, options, (text) => writeOut(printableLines(text)));
      return;
    }
    writeOut(formatDerpMap(map, options.format, comments));
  });
}

/** Returns the DERP map of the relay that `sources` configure. Calls `note` with each problem of the map. */
export function relayMap(sources: ConfigSources, overrides: MapOverrides, note: Note): AdvertisedMap {
  const { config } = loadConfig(sources);
  const certificate = findCertificate(config, sources, note);
  const found = advertisedMap(config, certificate, overrides);
  const validity = certificate.provisional === true ? null : validityNote(certificate, Date.now());
  for (const text of validity === null ? found.notes : [...found.notes, validity]) note(text);
  return found;
}

/**
 * Returns the certificate that the relay has or will have. When the name was given only on this command line, the
 * relay's own certificate has another name, and a new one would have a pin that is never served.
 */
function findCertificate(config: Config, sources: ConfigSources, note: Note): CertificateInfo {
  if (config.transport === 'plain') return proxyCertificate(config.certificate.names).info();
  const log = noteLog(note);
  const settings = certificateSettings(config);
  if (isCertificateStored(settings)) return inspectCertificate(settings, log);
  const flags = Object.fromEntries(Object.entries(sources.flags ?? {}).filter(([path]) => !HOST_KEYS.has(path)));
  const own = certificateSettings(loadConfig({ ...sources, flags }).config);
  return inspectCertificate(isCertificateStored(own) ? own : settings, log);
}

function certificateSettings({ certificate, listen }: Config): CertificateSettings {
  return { ...certificate, listenIps: listen.map(({ ip }) => ip) };
}

/** Shows only the sentence and the file, because a person reads them. */
function noteLog(note: Note): EventLog {
  const write = (fields: object, message: string): void => {
    note('certPath' in fields && typeof fields.certPath === 'string' ? `${message} (${fields.certPath})` : message);
  };
  return { info: write, warn: write, error: write };
}

function overridesOf({ ipv4, ipv6, omitDefaultRegions, stunPort: port }: DerpMapOptions): MapOverrides {
  return { ipv4, ipv6, omitDefaultRegions, stunPort: port };
}

function outputOf(command: Command): { writeOut: Note; writeErr: Note } {
  const output = command.configureOutput();
  return {
    writeOut: (text) => output.writeOut?.(text),
    writeErr: (text) => output.writeErr?.(text),
  };
}

function address(family: 4 | 6): (text: string) => string {
  return (text) => {
    if (text === 'none' || ipFamily(text) === family) return text;
    throw new InvalidArgumentError(`Give an IPv${family} address or none.`);
  };
}

function stunPort(text: string): number {
  const port = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (port === -1 || (port >= 1 && port <= 65_535)) return port;
  throw new InvalidArgumentError('Give a port from 1 to 65535, or -1.');
}
