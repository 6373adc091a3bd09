/**
 * `behind.ts PROXY serve …` is `towpath serve …` behind a proxy: the address in `--listen` is the proxy's. Other commands
 * run unchanged. As TOWPATH_COMMAND it puts any relay of the conformance suite behind a proxy.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { RELAY_PROGRAM } from '../relay-program.ts';
import { freePort } from '../../free-port.ts';
import { doesTls, isProxyName, relayEnvironment, startProxy } from './proxies.ts';

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts');
const [proxy, ...args] = process.argv.slice(2);
if (!isProxyName(proxy)) throw new Error(`unknown proxy ${String(proxy)}`);

const isPlain = doesTls(proxy);

/** Returns the value of a flag, or an empty text. */
function valueOf(flag: string): string {
  const at = args.indexOf(flag);
  return at < 0 ? '' : (args[at + 1] ?? '');
}

/** Returns the flags for the relay: it listens on another port, and has no certificate if the proxy does TLS. */
function relayArguments(): string[] {
  const isCertificate = (arg: string | undefined): boolean =>
    isPlain && (arg === '--certificate-file' || arg === '--certificate-key-file');
  return args
    .filter((arg, i) => !isCertificate(arg) && !isCertificate(args[i - 1]))
    .map((arg, i, all) => (all[i - 1] === '--listen' ? `127.0.0.1:${relayPort}` : arg));
}

const isServe = args[0] === 'serve';
const relayPort = await freePort();
const listen = valueOf('--listen');
const own = isServe ? relayArguments() : args;
const relay = spawn(RELAY_PROGRAM, [MAIN, ...own], {
  stdio: 'inherit',
  env: { ...process.env, ...(isServe ? relayEnvironment(proxy) : {}) },
});
let endProxy = (): void => undefined;
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => relay.kill(signal));
relay.on('exit', (code, signal) => {
  endProxy();
  process.exit(signal === null ? (code ?? 1) : 1);
});
if (isServe) {
  try {
    endProxy = await startProxy(proxy, {
      frontPort: Number(/:(\d+)$/.exec(listen)?.[1]),
      relayPort,
      certificateFile: valueOf('--certificate-file'),
      keyFile: valueOf('--certificate-key-file'),
    });
  } catch (error) {
    console.error(error);
    relay.kill('SIGKILL');
  }
}
