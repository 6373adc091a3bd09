import { errorMessage, TowpathError } from '../base/errors.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import type { CertificateSource } from '../certificates/source.ts';
import type { Config } from '../config/schema.ts';
import { advertisedMap } from '../derp-map/advertised-map.ts';
import { formatDerpMap } from '../derp-map/derp-map-text.ts';
import type { PublishedDerpMap } from '../http/derp-map-page.ts';

const SECRET = /^[\w-]{16,128}$/;
const FILE_BYTES = 4096;

/**
 * Returns the DERP map that the relay hands out, or null when that is off. Throws `TOWPATH_DERP_MAP_PATH` for an
 * unusable file.
 */
export function publishedMap(config: Config, certificate: CertificateSource): PublishedDerpMap | null {
  const { pathFile, plainHttp } = config.derpMap.publish;
  if (pathFile === undefined) return null;
  const json = (): string => formatDerpMap(advertisedMap(config, certificate.info()).map, 'json');
  return { secret: readSecret(pathFile), json, plainHttp };
}

function readSecret(file: string): string {
  let text: string;
  try {
    text = readSmallFile(file, FILE_BYTES).trim();
  } catch (error) {
    throw invalid(`derpMap.publish.pathFile: ${errorMessage(error)}`, file);
  }
  if (SECRET.test(text)) return text;
  throw invalid(`derpMap.publish.pathFile: ${file} does not hold 16 to 128 letters, digits, "-" or "_"`, file);
}

function invalid(message: string, file: string): TowpathError {
  return new TowpathError('TOWPATH_DERP_MAP_PATH', message, {
    hint: `Make one with: openssl rand -hex 16 > ${file}`,
  });
}
