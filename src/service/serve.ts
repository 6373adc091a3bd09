import { internalError, onInternalError } from '../base/errors.ts';
import type { Config } from '../config/schema.ts';
import { createLog, type Log } from '../observe/log.ts';
import type { ServeSignals } from '../base/signals.ts';
import { transport } from '../transport/runtime.ts';
import { withPreamble } from '../transport/shared/with-preamble.ts';
import { VERSION } from '../base/version.ts';
import { encodeProxyHeader } from '../wire/proxy-header.ts';
import { banner } from './banner.ts';
import { closeDebugger } from './debugger.ts';
import { takeInheritedSockets } from './inherited-sockets.ts';
import { InternalErrors } from './internal-errors.ts';
import { Lifetime, type LifetimeParts } from './lifetime.ts';
import { NextProcess } from './next-process.ts';
import { type PreviousProcess, previousProcess } from './previous-process.ts';
import { Readiness } from './readiness.ts';
import { openSystemdState, type SystemdState } from './systemd-state.ts';
import { Service } from './service.ts';
import { whyNoOwnSockets } from './threads/own-socket.ts';
import { reachable, runSelfTest } from './self-test.ts';

/** What `serve` needs from the command line. */
export interface ServeOptions extends Pick<LifetimeParts, 'reload' | 'endNow'> {
  readonly config: Config;
  readonly signals: ServeSignals;
  /** The command that started this process: the program and its arguments. */
  readonly command: readonly string[];
}

/**
 * Runs the relay until a signal ends it. Resolves with the exit code. SIGHUP reloads, SIGUSR2 starts the next process,
 * and SIGTERM, SIGINT and SIGQUIT drain; a second one ends the process at once. Throws a TowpathError when the relay
 * cannot be started.
 */
export async function serve({ config, signals, command, ...parts }: ServeOptions): Promise<number> {
  transport.prepareServer?.();
  const log = createLog({ ...config.log, isBuffered: true });
  try {
    const env = { ...process.env };
    const previous = previousProcess();
    const inherited = takeInheritedSockets();
    const isActivated = inherited.derp.length > 0;
    const unshared = isActivated ? await whyNoOwnSockets() : null;
    const service = new Service(config, transport, log.log, { inherited, unshared, isReplacing: previous !== null });
    const systemd = await openSystemdState(process.env, { health: service.health, log: log.log });
    const startNext = isActivated ? (): NextProcess => new NextProcess({ command, env, sockets: inherited }) : null;
    const lifetime = new Lifetime({ ...parts, service, log, systemd, startNext });
    service.api.control = lifetime;
    signals.listen((wish, signal) => lifetime.signal(wish, signal));
    try {
      return await Promise.race([lifetime.ended, start({ config, service, log, lifetime, systemd, previous })]);
    } finally {
      await systemd?.close();
    }
  } finally {
    await log.flush();
    log.close();
  }
}

interface StartParts {
  readonly config: Config;
  readonly service: Service;
  readonly log: Log;
  readonly lifetime: Lifetime;
  readonly systemd: SystemdState | null;
  readonly previous: PreviousProcess | null;
}

async function start({ config, service, log, lifetime, systemd, previous }: StartParts): Promise<number> {
  const test = config.selfTest ? (): Promise<object> => selfTest(config, service) : null;
  const readiness = new Readiness({ health: service.health, log: log.log, selfTest: test });
  try {
    await service.start(async () => {
      surviveBugs(service, log);
      if (previous === null) return;
      log.log.info({ pid: process.pid }, 'this process accepts clients; the previous one ends');
      await systemd?.becomeMain();
      await previous.takeOver();
    });
  } catch (error) {
    // The shutdown has closed what the start was about to open.
    if (!lifetime.isEnding) throw error;
  }
  if (closeDebugger()) log.log.warn("SIGUSR1 had opened Node's debugger; the relay has closed it");
  if (lifetime.isEnding) return lifetime.ended;
  const { runtime, features } = transport;
  log.log.info({ version: VERSION, runtime, features, ...service.addresses }, 'towpath started');
  process.stdout.write(banner(config, service));
  lifetime.started();
  await readiness.begin();
  systemd?.ready();
  return lifetime.ended;
}

/** Limits the damage of a bug to the connection that it is about: thousands of others depend on this process. */
function surviveBugs(service: Service, log: Log): void {
  const errors = new InternalErrors(service.ownCounters, log.log);
  onInternalError((where, error) => errors.caught(where, error));
  process.on('uncaughtException', (error) => internalError('uncaught', error));
  process.on('unhandledRejection', (error) => internalError('unhandled rejection', error));
}

/** Tests the relay as it is now. Returns the times for the log. */
async function selfTest(config: Config, service: Service): Promise<object> {
  const { derp, stun } = service.addresses;
  const { tlsMs, openMs, packetMs, stunMs } = await runSelfTest({
    // The test connects from this machine. With the PROXY protocol it must send a header, as a proxy does.
    transport: config.proxy.protocol ? withPreamble(transport, encodeProxyHeader(null)) : transport,
    derp: derp[0]!,
    stun: stun[0] ?? null,
    pinSha256: config.transport === 'tls' ? service.certificate.info().pinSha256 : null,
    exempt: (key) => service.exempt(key),
    serverName: config.certificate.names[0] ?? service.certificate.info().names[0] ?? reachable(derp[0]!).ip,
  });
  const ms = (value: number | null): string => (value === null ? 'off' : `${value.toFixed(1)} ms`);
  return { tls: ms(tlsMs), connect: ms(openMs), packet: ms(packetMs), stun: ms(stunMs) };
}
