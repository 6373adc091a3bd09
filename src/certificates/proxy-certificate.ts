import { TowpathError } from '../base/errors.ts';
import type { CertificateInfo, CertificateSource } from './source.ts';

/** The latest time of a Date: the certificate of the proxy does not expire here. */
const NEVER_MS = 8.64e15;

/** The source for a relay whose proxy does TLS: the relay does not have the certificate. */
export function proxyCertificate(names: readonly string[]): CertificateSource {
  const info: CertificateInfo = {
    names,
    notBefore: new Date(0),
    notAfter: new Date(NEVER_MS),
    pinSha256: '',
    selfSigned: false,
    next: null,
  };
  return {
    current: () => {
      throw new TowpathError('TOWPATH_CERTIFICATE_OF_PROXY', 'The proxy in front has the certificate.');
    },
    onChange: () => () => undefined,
    info: () => info,
    reload: () => undefined,
    stop: () => undefined,
  };
}
