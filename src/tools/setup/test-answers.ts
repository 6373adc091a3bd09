import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { writePrivateFile } from '../../base/private-file.ts';
import { loadConfig } from '../../config/load.ts';
import type { Transport } from '../../transport/port.ts';
import { admissionChecks } from '../doctor/admission.ts';
import type { Check } from '../doctor/check.ts';
import { fileChecks } from '../doctor/files.ts';
import { configWarnings } from '../doctor/setup.ts';
import type { SetupAnswers } from './answers.ts';
import { configurationText } from './configuration.ts';

/** Options of the test. */
export interface TestParts {
  readonly stateDirectory: string;
  readonly transport: Transport;
  /** Started by the caller. */
  readonly clock: Clock;
  /** Time limit of one request to the admission source. */
  readonly timeoutMs: number;
}

/**
 * Tests the answers before anything is written: the configuration, the files in it, and whether the admission source
 * answers. Throws a TowpathError when the configuration itself is wrong.
 */
export async function testAnswers(answers: SetupAnswers, parts: TestParts): Promise<Check[]> {
  const { stateDirectory, transport, clock, timeoutMs } = parts;
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-setup-'));
  try {
    const copies = new Map<string, string>();
    for (const { file, text } of answers.secrets) {
      const copy = path.join(folder, path.basename(file));
      writePrivateFile(copy, text, { replace: false });
      copies.set(file, copy);
    }
    const file = path.join(folder, 'towpath.yaml');
    const credential = (secret: string): string => copies.get(secret) ?? secret;
    // The relay creates these files later.
    const state = existsSync(stateDirectory) ? stateDirectory : path.join(folder, 'state');
    const places = { stateDirectory: state, credential };
    writeFileSync(file, configurationText(withList(answers, folder), places));
    const loaded = loadConfig({ file });
    const { config } = loaded;
    const admission = await admissionChecks({
      transport,
      clock,
      timeoutMs,
      totalMs: timeoutMs,
      load: () => loaded,
      map: null,
      outside: [],
      stunServer: null,
      nodeKey: null,
      relayNodes: [],
      config,
      local: transport,
      publicKey: null,
      stored: null,
    });
    return [...configWarnings(config), ...(await fileChecks(config)), ...admission];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Uses an empty list in place of a key list that does not exist yet. */
function withList(answers: SetupAnswers, folder: string): SetupAnswers {
  const { admission } = answers;
  if (admission.kind !== 'keys' || existsSync(admission.allowFile)) return answers;
  const allowFile = path.join(folder, 'allowed-keys');
  writeFileSync(allowFile, '');
  return { ...answers, admission: { ...admission, allowFile } };
}
