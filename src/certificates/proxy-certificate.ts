import { TowpathError } from '../base/errors.ts';
import type { CertificateInfo, CertificateSource } from './source.ts';

/** The latest time that a Date can hold: what is not ours does not expire here. */
const NEVER_MS = 8.64e15;

/** Stands for the certificate of a proxy that does TLS for the relay: the relay neither has nor knows it. */
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
