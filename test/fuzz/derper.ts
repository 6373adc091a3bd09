import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Wire, type Target } from './wire.ts';
import { freePort } from '../free-port.ts';

const VERSIONS = ['v1.102.5', 'v1.104.5'];
const START_MS = 20_000;

/** Returns the derpers of `test/interop/run.sh build` by version; builds them when there are none. */
export function derpers(): ReadonlyMap<string, string> {
  const cache = process.env['TOWPATH_INTEROP_CACHE'] ?? path.join(homedir(), '.cache/towpath-interop');
  const found = (): [string, string][] =>
    VERSIONS.map((version): [string, string] => [version, path.join(cache, version, 'derper')]).filter(([, file]) =>
      existsSync(file),
    );
  if (found().length === 0) {
    spawnSync(path.resolve(import.meta.dirname, '../interop/run.sh'), ['build'], { stdio: 'inherit' });
  }
  return new Map(found());
}

/** A derper process without TLS. */
export class Derper {
  readonly target: Target;
  readonly stop: () => Promise<void>;

  private constructor(target: Target, stop: () => Promise<void>) {
    this.target = target;
    this.stop = stop;
  }

  static async start(program: string): Promise<Derper> {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-derper-'));
    const port = await freePort();
    const child = spawn(
      program,
      [
        '-a',
        `127.0.0.1:${port}`,
        '-c',
        path.join(folder, 'key'),
        '-hostname',
        '127.0.0.1',
        '-stun=false',
        '-http-port=-1',
      ],
      { stdio: 'ignore', cwd: folder },
    );
    process.once('exit', () => child.kill('SIGKILL'));
    const ended = once(child, 'close');
    const stop = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    };
    const startedAt = performance.now();
    for (;;) {
      try {
        const wire = await Wire.open(port, { tls: null }, START_MS);
        wire.destroy();
        return new Derper({ derp: port, http: 0, stun: 0, hasTls: false }, stop);
      } catch (error) {
        if (performance.now() - startedAt > START_MS) throw error;
        await delay(50);
      }
    }
  }
}
