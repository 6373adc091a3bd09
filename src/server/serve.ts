import { TowpathError, errorMessage, internalError, onInternalError } from '../errors.ts';
import type { Config } from '../config/schema.ts';
import { createLog, type Log } from '../observe/log.ts';
import { transport } from '../transport/runtime.ts';
import { withPreamble } from '../transport/with-preamble.ts';
import { VERSION } from '../version.ts';
import { encodeProxyHeader } from '../wire/proxy-header.ts';
import { banner } from './banner.ts';
import { takeInheritedSockets } from './inherited-sockets.ts';
import { InternalErrors } from './internal-errors.ts';
import { Relay } from './relay.ts';
import { reachable, runSelfTest } from './self-test.ts';

/** Exit code after a second signal: as a shell reports a process that SIGINT ended. */
const EXIT_INTERRUPTED = 130;

/** What `serve` needs from the command line. */
export interface ServeOptions {
  readonly config: Config;
  /** Reads the configuration again; throws a TowpathError when it is not fit for use. */
  readonly reload: () => Config;
}

/**
 * Runs the relay until a signal ends it; resolves with the exit code. SIGHUP reloads, SIGTERM and SIGINT drain, a
 * second one ends at once. Throws a TowpathError when the relay cannot be started.
 */
export async function serve({ config, reload }: ServeOptions): Promise<number> {
  transport.prepareServer?.();
  const log = createLog({ ...config.log, isBuffered: true });
  const relay = new Relay(config, transport, log.log, takeInheritedSockets());
  await relay.start();
  surviveBugs(relay, log);
  const { runtime, features } = transport;
  log.log.info({ version: VERSION, runtime, features, ...relay.addresses }, 'towpath started');
  process.stdout.write(banner(config, relay));
  const ended = untilSignal(relay, log, reload);
  if (config.selfTest) await selfTest(config, relay, log);
  return ended;
}

/** From now on a bug costs at most the connection that it is about: thousands of others depend on this process. */
function surviveBugs(relay: Relay, log: Log): void {
  const errors = new InternalErrors(relay.counters, log.log);
  onInternalError((where, error) => errors.caught(where, error));
  process.on('uncaughtException', (error) => internalError('uncaught', error));
  process.on('unhandledRejection', (error) => internalError('unhandled rejection', error));
}

async function selfTest(config: Config, relay: Relay, log: Log): Promise<void> {
  const { derp, stun } = relay.addresses;
  try {
    const times = await runSelfTest({
      // The relay is a neighbour of itself: where proxies on this machine are trusted, it has to speak as they do.
      transport: config.proxy.protocol ? withPreamble(transport, encodeProxyHeader(null)) : transport,
      derp: derp[0]!,
      stun: stun[0] ?? null,
      pinSha256: config.transport === 'tls' ? relay.certificate.info().pinSha256 : null,
      exempt: (key) => relay.exempt(key),
      serverName: config.certificate.names[0] ?? relay.certificate.info().names[0] ?? reachable(derp[0]!).ip,
    });
    relay.health.set('self-test', null);
    const ms = (value: number | null): string => (value === null ? 'off' : `${value.toFixed(1)} ms`);
    const { tlsMs, openMs, packetMs, stunMs } = times;
    log.log.info({ tls: ms(tlsMs), connect: ms(openMs), packet: ms(packetMs), stun: ms(stunMs) }, 'ready');
  } catch (error) {
    const hint = error instanceof TowpathError ? error.hint : undefined;
    relay.health.set('self-test', errorMessage(error));
    log.log.error({ error: errorMessage(error), ...(hint === undefined ? {} : { hint }) }, 'not ready');
  }
}

function untilSignal(relay: Relay, log: Log, reload: () => Config): Promise<number> {
  return new Promise((resolve) => {
    let ending = false;
    const end = (signal: NodeJS.Signals): void => {
      if (ending) {
        resolve(EXIT_INTERRUPTED);
        return;
      }
      ending = true;
      log.log.info({ signal, sessions: relay.sessionCount }, 'draining; a second signal ends at once');
      void shutDown(relay, log).then(resolve);
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
    process.on('SIGHUP', () => applyReload(relay, log, reload));
  });
}

async function shutDown(relay: Relay, log: Log): Promise<number> {
  try {
    await relay.drain();
    await relay.close();
    log.log.info('stopped');
    return 0;
  } catch (error) {
    log.log.error({ error: errorMessage(error) }, 'could not stop in good order');
    return 1;
  } finally {
    await log.flush();
  }
}

function applyReload(relay: Relay, log: Log, reload: () => Config): void {
  // First, and whatever the configuration is like: a certificate that was renewed must not wait for its next fix.
  relay.reloadFiles();
  try {
    const config = reload();
    log.log.level = config.log.level;
    const restart = relay.reload(config);
    if (restart.length > 0) log.log.warn({ keys: restart }, 'these keys take effect after a restart only');
    log.log.info('configuration reloaded');
  } catch (error) {
    log.log.error({ error: errorMessage(error) }, 'the new configuration is not used; the old one stays');
  }
}
