import type { Command } from 'commander';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import { AdminClient } from '../client/admin-client.ts';
import { loadConfig } from '../config/load.ts';
import { openAdmin } from '../service/admin-target.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

/** Largest size of a token or of a certificate chain, in bytes. */
const MOST_BYTES = 65_536;
/** Not TOWPATH_ADMIN_TOKEN: that is the key admin.token of a relay, which names a variable. */
const TOKEN_VARIABLE = 'TOWPATH_TOKEN';

/** Adds the flags that name the running relay of a command: the one of the configuration, or another one. */
export function addAdminFlags(command: Command): Command {
  const group = 'Relay elsewhere:';
  const option = (flags: string, help: string): void => {
    command.addOption(command.createOption(flags, help).helpGroup(group));
  };
  option('--url <url>', 'admin listener of a relay elsewhere, for example https://relay.example.com:9090');
  option(
    '--admin-token-path <path>',
    `file with its token; without it the environment variable ${TOKEN_VARIABLE} counts`,
  );
  option('--ca <path>', 'certificate authority to trust for it, or its own certificate, PEM');
  return addConfigFlags(command);
}

/** Returns the client for the relay that the flags name. Throws a TowpathError when they name none. */
export function readAdminFlags(command: Command): AdminClient {
  const { url, adminTokenPath, ca } = command.opts<{ url?: string; adminTokenPath?: string; ca?: string }>();
  if (url !== undefined) {
    const token = adminTokenPath === undefined ? process.env[TOKEN_VARIABLE] : readFile(adminTokenPath).trim();
    return new AdminClient({
      url: originOf(url),
      token: token === undefined || token === '' ? null : token,
      ...(ca === undefined ? {} : { caPem: readFile(ca) }),
    });
  }
  const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
  const admin = openAdmin(config.admin);
  if (admin !== null) return admin;
  throw new TowpathError('TOWPATH_USAGE_ADMIN', 'the relay of this configuration has no admin listener (admin: off)', {
    hint: 'Set admin to an address such as 127.0.0.1:9090, or name a relay elsewhere with --url.',
  });
}

function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed !== null && (parsed.protocol === 'https:' || parsed.protocol === 'http:')) return parsed.origin;
  throw new TowpathError('TOWPATH_USAGE_ADMIN', 'the value of --url is not a URL of http or https', {
    hint: 'Write it like https://relay.example.com:9090.',
  });
}

function readFile(path: string): string {
  try {
    return readSmallFile(path, MOST_BYTES);
  } catch (error) {
    throw new TowpathError('TOWPATH_USAGE_ADMIN', `${path} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}
