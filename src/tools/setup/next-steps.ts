import { shellWord } from '../../base/shell-word.ts';
import type { SetupAnswers } from './answers.ts';

/** The steps that a person must do after a set-up. */
export interface NextSteps {
  readonly answers: SetupAnswers;
  readonly file: string;
  /** The entry for the DERP map, in the form of the network. */
  readonly map: string;
  /** The command that starts the relay; null when the service runs. */
  readonly start: string | null;
}

/** Returns lines of text: which ports to open, what to start, and what to paste. */
export function nextSteps({ answers, file, map, start }: NextSteps): string {
  const { network, admission, certificate } = answers;
  return [
    ...(start === null ? [] : ['', 'Start the relay with:', '', `  ${start}`]),
    '',
    'Open these ports to your nodes, in the firewall of this machine and in that of the hoster:',
    '',
    '  TCP 443   DERP',
    '  UDP 3478  STUN',
    '  TCP 80    captive-portal checks, and certificates from an authority',
    '',
    '  ufw:        ufw allow 443/tcp && ufw allow 80/tcp && ufw allow 3478/udp',
    '  firewalld:  firewall-cmd --permanent --add-port={443/tcp,80/tcp,3478/udp} && firewall-cmd --reload',
    '',
    ...(network === 'tailscale' ? forTailscale(file) : forHeadscale(file)),
    '',
    map.trimEnd(),
    '',
    ...(admission.kind === 'keys'
      ? [`Add the keys of your nodes to ${admission.allowFile}: until then nobody may use the relay.`, '']
      : []),
    ...(certificate.kind === 'files'
      ? [
          'After each renewal of the certificate: systemctl restart towpath (certbot: --deploy-hook "systemctl restart towpath").',
          '',
        ]
      : []),
    `Check it at any time: towpath doctor --config ${shellWord(file)}`,
    '',
  ].join('\n');
}

function forTailscale(file: string): string[] {
  return [
    'Tell the tailnet: put this between the outermost braces of its policy file',
    '(https://login.tailscale.com/admin/acls/file), or let towpath do it, with an API key in a file:',
    `towpath derp-map --config ${shellWord(file)} --apply tailscale --api-key-file FILE`,
  ];
}

function forHeadscale(file: string): string[] {
  return [
    'Tell Headscale: write this to /etc/headscale/derp-towpath.yaml on its machine, add that path to derp.paths',
    "in Headscale's configuration, and restart Headscale. For a map that follows the certificate by itself, see",
    `derpMap.publish in docs/quickstart.md. The map again: towpath derp-map --config ${shellWord(file)} --format headscale`,
  ];
}
