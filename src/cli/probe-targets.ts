import { targetOfUrl, targetsOfMap, type ProbeTarget, type TargetOverrides } from '../tools/probe/target.ts';
import { TowpathError } from '../base/errors.ts';
import { placeForMessages, readDerpMap, webAddressOf } from '../derp-map/derp-map-file.ts';

/** Most relays that are probed, one after the other. Tailscale's own map has about 120. */
const MAX_RELAYS = 1000;

/**
 * Returns the relays for the argument of `probe`: a relay's URL, the URL of a DERP map, or the file of one. Rejects with a
 * TowpathError when the map cannot be read, or has no relay or too many.
 */
export async function readTargets(
  text: string,
  region: string | null,
  overrides: TargetOverrides,
  timeoutMs: number,
): Promise<ProbeTarget[]> {
  const url = webAddressOf(text);
  if (url !== null && (url.pathname === '/' || url.pathname.endsWith('/derp'))) {
    if (region !== null) throw usage('--region is for DERP maps, not for the URL of one relay');
    return [targetOfUrl(text, overrides)];
  }
  const place = placeForMessages(text);
  const targets = targetsOfMap(await readDerpMap(text, timeoutMs), region, overrides);
  if (targets.length > MAX_RELAYS) {
    throw usage(`the DERP map ${place} has ${targets.length} relays`, 'Select a region with --region.');
  }
  if (targets.length > 0) return targets;
  throw usage(
    region === null ? `the DERP map ${place} has no relays` : `the DERP map ${place} has no region "${region}"`,
  );
}

function usage(message: string, hint?: string): TowpathError {
  return new TowpathError('TOWPATH_USAGE', message, hint === undefined ? {} : { hint });
}
