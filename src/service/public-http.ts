import type { Server } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { CertificateSource } from '../certificates/source.ts';
import type { Config } from '../config/schema.ts';
import { BootstrapDns } from '../http/bootstrap-dns.ts';
import { loadHomePage } from '../http/home-page.ts';
import { createRelayHttpHandler, type RelayHttp } from '../http/relay-handler.ts';
import { createHttpServer } from '../http/server.ts';
import type { Counters } from '../observe/counters.ts';
import type { DoorHandlers } from '../relay/door/front-door.ts';
import type { Relay } from '../relay/relay.ts';
import { frontHttp, isRequestAllowed } from './front-http.ts';
import { HttpConnections } from './http-connections.ts';
import { HttpDoor } from './http-door.ts';
import { publishedMap } from './published-map.ts';

interface PublicHttpParts {
  readonly clock: Clock;
  readonly relay: Relay;
  readonly certificate: CertificateSource;
  readonly counters: Counters;
  /** The configuration in use. */
  readonly config: () => Config;
  readonly onListenerError: (error: Error) => void;
}

/** The public HTTP: on the ports of the relay, and on port 80. */
export class PublicHttp {
  /** The handler of connections to the relay's ports that are not for DERP. */
  readonly front: DoorHandlers['http'];
  /** The handler of the listeners of `http`. */
  readonly port80: HttpDoor;
  readonly #parts: PublicHttpParts;
  readonly #bootstrapDns: BootstrapDns;
  readonly #handler: RelayHttp;
  readonly #servers: readonly Server[];

  /** Throws a TowpathError when the home page cannot be read. */
  constructor(config: Config, parts: PublicHttpParts) {
    const { clock, relay, certificate, counters, onListenerError } = parts;
    this.#parts = parts;
    this.#bootstrapDns = new BootstrapDns({ ...config.bootstrapDns, counters, clock });
    this.#handler = createRelayHttpHandler({
      home: loadHomePage(config.home),
      bootstrapDns: this.#bootstrapDns,
      derpMap: publishedMap(config, certificate),
      httpsPort: config.derpPort ?? config.listen[0]!.port,
      challengeResponse: certificate.challenges?.httpResponse,
    });
    const options = this.#serverOptions(config);
    const main = createHttpServer(this.#handler.main, { ...options, isAllowed: isRequestAllowed });
    const port80 = createHttpServer(this.#handler.port80, options);
    this.#servers = [main, port80];
    const limit = config.limits.httpConnections;
    this.front = frontHttp({ relay, clock, server: main, connectionLimit: limit });
    const refused: DoorHandlers['refused'] = (reason, remote, detail) => relay.refused(reason, remote, null, detail);
    this.port80 = new HttpDoor({
      httpConnections: new HttpConnections({ server: port80, limit, clock, refused }),
      ...{ counters, refused, guard: relay.guard, onListenerError },
    });
  }

  /** Number of distinct names that clients have asked bootstrap DNS for. */
  get queriedNames(): number {
    return this.#bootstrapDns.queriedNames;
  }

  /** Shows this home page from now on. */
  setHome(page: Parameters<RelayHttp['setHome']>[0]): void {
    this.#handler.setHome(page);
  }

  /** Starts the look-ups of bootstrap DNS. */
  start(): void {
    void this.#bootstrapDns.start();
  }

  stop(): void {
    this.#bootstrapDns.stop();
  }

  closeConnections(): void {
    for (const server of this.#servers) server.closeAllConnections();
  }

  #serverOptions({ limits }: Config): Parameters<typeof createHttpServer>[1] {
    const { counters, config } = this.#parts;
    return {
      headMs: limits.requestHeadMs,
      headBytes: limits.requestHeadBytes,
      counters,
      neutral: () => config().home.mode !== 'full',
    };
  }
}
