import { Option, type Command } from 'commander';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import type { DerpMap } from '../derp-map/derp-map.ts';
import { lineDiff, policyWithRegion } from '../derp-map/policy-edit.ts';
import { TailnetPolicy, type PolicyCredential } from '../derp-map/tailnet-policy.ts';

/** The flags of {@link addApplyFlags}. */
export interface ApplyFlags {
  readonly apply?: 'tailscale';
  readonly dryRun?: true;
  readonly tailnet: string;
  readonly apiKeyFile?: string;
  readonly clientId?: string;
  readonly clientSecretFile?: string;
  readonly apiUrl: string;
}

const TIMEOUT_MS = 20_000;
const SECRET_BYTES = 4096;

/** Adds the flags with which the map is written to a control server. */
export function addApplyFlags(command: Command): void {
  command
    .addOption(
      new Option(
        '--apply <where>',
        "tailscale: write the region into the tailnet's policy file through the API",
      ).choices(['tailscale']),
    )
    .option('--dry-run', 'with --apply: only show what would change')
    .option('--tailnet <name>', 'with --apply: the tailnet, or - for that of the key', '-')
    .option('--api-key-file <file>', 'with --apply: file with an API key of the tailnet')
    .option('--client-id <id>', 'with --apply: ID of an OAuth client with the scope "Policy file: Write"')
    .option('--client-secret-file <file>', 'with --apply: file with the secret of the OAuth client')
    .option('--api-url <url>', 'with --apply: URL of the API', 'https://api.tailscale.com');
}

/** Writes the region of `map` into the policy file, and shows the change. */
export async function applyToTailscale(map: DerpMap, flags: ApplyFlags, write: (text: string) => void): Promise<void> {
  const credential = credentialOf(flags);
  const place = { apiUrl: flags.apiUrl.replace(/\/$/, ''), tailnet: flags.tailnet, timeoutMs: TIMEOUT_MS };
  const policy = await TailnetPolicy.open(place, credential);
  const { text, etag } = await policy.read();
  const changed = policyWithRegion(text, map);
  const diff = lineDiff(text, changed);
  write(diff);
  if (diff === '') {
    write('The policy file has this region already.\n');
  } else if (flags.dryRun === true) {
    write('Nothing was changed.\n');
  } else {
    await policy.write(changed, etag);
    write('The policy file was changed.\n');
  }
}

function credentialOf({ apiKeyFile, clientId, clientSecretFile }: ApplyFlags): PolicyCredential {
  if (apiKeyFile !== undefined) return { kind: 'key', key: secretIn(apiKeyFile) };
  if (clientId !== undefined && clientSecretFile !== undefined) {
    return { kind: 'oauth', clientId, clientSecret: secretIn(clientSecretFile) };
  }
  throw new TowpathError(
    'TOWPATH_USAGE_APPLY',
    '--apply needs --api-key-file, or --client-id and --client-secret-file',
    {
      hint: 'Make an OAuth client with the scope "Policy file: Write" (https://login.tailscale.com/admin/settings/oauth).',
    },
  );
}

function secretIn(file: string): string {
  let text: string;
  try {
    text = readSmallFile(file, SECRET_BYTES).trim();
  } catch (error) {
    throw new TowpathError('TOWPATH_USAGE_APPLY', `the secret cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new TowpathError('TOWPATH_USAGE_APPLY', `${file} does not contain a usable secret`);
}
