import type { Server } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { BootstrapDns } from '../../http/bootstrap-dns.ts';
import { loadHomePage } from '../../http/home-page.ts';
import { createRelayHttpHandler, type RelayHttp } from '../../http/relay-handler.ts';
import { createHttpServer } from '../../http/server.ts';
import type { HomeConfig } from '../../config/schema/home.ts';
import type { DoorHandlers } from '../../relay/door/front-door.ts';
import type { Relay } from '../../relay/relay.ts';
import { frontHttp, isRequestAllowed } from '../front-http.ts';
import type { ThreadHttpSettings } from './messages.ts';

/** Answers the requests of a relay thread that do not become a DERP connection, in the same way as the main thread. */
export class ThreadHttp {
  /** Takes a connection whose first request is not for DERP. */
  readonly enter: DoorHandlers['http'];
  readonly #bootstrapDns: BootstrapDns;
  readonly #pages: RelayHttp;
  readonly #server: Server;
  #home: HomeConfig;

  constructor(settings: ThreadHttpSettings, relay: Relay, clock: Clock) {
    const { counters } = relay;
    const { requestHeadMs, requestHeadBytes, httpsPort, connections } = settings;
    this.#home = settings.home;
    this.#bootstrapDns = new BootstrapDns({ ...settings.bootstrapDns, counters, clock });
    this.#pages = createRelayHttpHandler({
      home: loadHomePage(settings.home),
      bootstrapDns: this.#bootstrapDns,
      httpsPort,
    });
    this.#server = createHttpServer(this.#pages.main, {
      headMs: requestHeadMs,
      headBytes: requestHeadBytes,
      counters,
      neutral: () => this.#home.mode !== 'full',
      isAllowed: isRequestAllowed,
    });
    this.enter = frontHttp({ relay, clock, server: this.#server, connectionLimit: connections });
    void this.#bootstrapDns.start();
  }

  setHome(home: HomeConfig): void {
    this.#home = home;
    this.#pages.setHome(loadHomePage(home));
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#bootstrapDns.stop();
  }
}
