import { TowpathError } from '../../base/errors.ts';
import { Draft } from '../migrate/draft.ts';
import type { Admission, Certificate, SetupAnswers } from './answers.ts';

/** Paths of the relay's own files, and of files that systemd passes to it. */
export interface Places {
  /** Folder of the key, the certificates and copies of lists. */
  readonly stateDirectory: string;
  /** Returns the path under which the relay can read `file`, even without the rights to read it directly. */
  readonly credential: (file: string) => string;
}

const TITLE = [
  'Made by "towpath setup". docs/configuration.md describes every key. After a change:',
  '"towpath config check FILE", and restart the service.',
];

/** The configuration file for these answers, with comments. */
export function configurationText(answers: SetupAnswers, places: Places): string {
  const { host, publicIps, admission, certificate } = answers;
  const { stateDirectory } = places;
  const draft = new Draft();
  set(draft, { hostname: host }, 'Where clients reach the relay; it is in the DERP map and in the certificate.');
  if (publicIps.length > 0) set(draft, { publicIp: publicIps }, 'The addresses in the DERP map.');
  set(
    draft,
    { keyFile: `${stateDirectory}/derper.key` },
    'The identity of the relay. Keep a copy: a relay with another key is another relay.',
  );
  setAdmission(draft, admission, places);
  set(draft, { 'certificate.directory': `${stateDirectory}/certs` });
  set(draft, { 'admission.cacheDirectory': `${stateDirectory}/admission` });
  setCertificate(draft, certificate, places);
  return draft.toYaml(TITLE);
}

function setAdmission(draft: Draft, admission: Admission, { credential }: Places): void {
  const source = (entry: Readonly<Record<string, string>>, note: string): void => {
    set(draft, { 'admission.sources': [entry] }, note);
  };
  switch (admission.kind) {
    case 'headscale': {
      source({ kind: 'headscale', url: admission.url }, 'Headscale is asked about each node.');
      return;
    }
    case 'headscale-api': {
      source(
        { kind: 'headscale', url: admission.url, apiKeyFile: credential(admission.apiKeyFile) },
        'The nodes of Headscale, read with an API key.',
      );
      return;
    }
    case 'tailscale-api': {
      source(
        'clientId' in admission
          ? {
              kind: 'tailscale-api',
              clientId: admission.clientId,
              clientSecretFile: credential(admission.clientSecretFile),
            }
          : { kind: 'tailscale-api', apiKeyFile: credential(admission.apiKeyFile) },
        'The devices of the tailnet.',
      );
      return;
    }
    case 'tailscaled': {
      source({ kind: 'tailscaled' }, 'The tailscaled of this machine is asked about each node.');
      return;
    }
    case 'webhook': {
      source({ kind: 'webhook', url: admission.url }, 'A web service is asked about each node.');
      return;
    }
    case 'keys': {
      source(
        { kind: 'keys', allowFile: admission.allowFile },
        'One node key per line; the relay reads the file again when it changes.',
      );
      return;
    }
    case 'open':
      set(draft, { 'admission.open': true }, 'EVERYONE who finds this relay may use it.');
  }
}

function setCertificate(draft: Draft, certificate: Certificate, { credential }: Places): void {
  switch (certificate.kind) {
    case 'self-signed':
      set(draft, { 'certificate.mode': 'self-signed' }, 'The relay makes its certificate; the DERP map pins it.');
      return;
    case 'files':
      set(
        draft,
        {
          'certificate.mode': 'file',
          'certificate.file': credential(certificate.file),
          'certificate.keyFile': credential(certificate.keyFile),
        },
        'Files that another program renews.',
      );
      return;
    case 'acme':
      set(
        draft,
        {
          'certificate.acme.termsAgreed': true,
          ...(certificate.email === null ? {} : { 'certificate.acme.email': certificate.email }),
          'certificate.mode': 'acme',
        },
        "From Let's Encrypt, renewed by the relay.",
      );
  }
}

/** Each answer has been checked, but together they may still be invalid. */
function set(draft: Draft, values: Parameters<Draft['set']>[0], note?: string): void {
  if (draft.set(values, note)) return;
  throw new TowpathError('TOWPATH_USAGE_SETUP', `these values do not fit together: ${Object.keys(values).join(', ')}`, {
    hint: 'Run "towpath setup" again with other answers, or write the file by hand (docs/configuration.md).',
  });
}
