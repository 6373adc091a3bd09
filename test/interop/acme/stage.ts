import path from 'node:path';
import { Authority, type AuthorityOptions, type MockDns, type Ports } from './authority.ts';
import { RelayUnderTest } from './relay.ts';

/** The tools of a case. */
export interface Stage {
  readonly folder: string;
  readonly dns: MockDns;
  readonly ports: Ports;
  /** Runs this when the case is over, the last one first. */
  atEnd(end: () => unknown): void;
}

export interface Case {
  readonly name: string;
  readonly run: (stage: Stage) => Promise<void>;
}

/** Starts an authority, which is stopped at the end of the case. */
export async function authority(stage: Stage, options: Partial<AuthorityOptions> = {}): Promise<Authority> {
  const made = await Authority.start(path.join(stage.folder, 'pebble'), stage.dns, { ports: stage.ports, ...options });
  stage.atEnd(() => made.stop());
  return made;
}

/** Makes a relay that gets its certificate from this authority; `config` overrides the top level, `acme` overrides `certificate.acme`. */
export async function relay(
  stage: Stage,
  { directory, caFile }: Authority,
  acme: Readonly<Record<string, unknown>> = {},
  config: Readonly<Record<string, unknown>> = { hostname: 'towpath.test' },
  mode = 'acme',
  names?: readonly string[],
): Promise<RelayUnderTest> {
  const section = { mode, names, acme: { directory, caFile, termsAgreed: true, ...acme } };
  const started = await RelayUnderTest.start(stage.folder, stage.ports, { ...config, certificate: section });
  stage.atEnd(() => started.stop('SIGKILL'));
  return started;
}

/** Returns the folder with the files of the relay from this authority. */
export function storeOf(stage: Stage, { directory }: Authority, file: string): string {
  const slug = directory.replace('https://', '').replaceAll(/[^A-Za-z0-9.-]+/g, '-');
  return path.join(stage.folder, 'certs', 'acme', slug, file);
}
