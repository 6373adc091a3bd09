import type { Config } from '../config/schema.ts';
import { frontListener } from '../relay/front-listener.ts';
import type { Relay } from '../relay/relay.ts';
import type { Endpoint, Listener, ListenerHandler, ServerTls, Transport } from '../transport/port.ts';
import type { InheritedSockets } from './inherited-sockets.ts';
import { naming } from './listen-keys.ts';
import { listenPlaces } from './listen-places.ts';
import { frontSettings } from './relay-settings.ts';

/** The real addresses of a running relay. */
export interface RelayAddresses {
  readonly derp: readonly Endpoint[];
  readonly http: readonly Endpoint[];
  readonly stun: readonly Endpoint[];
  readonly admin: Endpoint | null;
}

/** The handler of each port. */
export interface PortHandlers {
  /** Opens its own ports, for DERP and STUN. */
  readonly relay: Relay;
  readonly http: ListenerHandler;
  /** Asked for when the administration has a port. */
  readonly admin: () => ListenerHandler;
}

/** All ports of the process: those that the configuration names, or that a service manager has opened in their place. */
export class Listeners {
  readonly #transport: Transport;
  readonly #inherited: InheritedSockets;
  readonly #doors: PortHandlers;
  readonly #http: Listener[] = [];
  #admin: Listener | null = null;

  constructor(transport: Transport, inherited: InheritedSockets, doors: PortHandlers) {
    this.#transport = transport;
    this.#inherited = inherited;
    this.#doors = doors;
  }

  /**
   * Opens all ports, those for DERP with `tls` or without. Throws a TowpathError when one cannot be opened; others stay
   * open.
   */
  async open(config: Config, tls: Pick<ServerTls, 'certificate' | 'challenge'> | null): Promise<void> {
    const { derp, http, stun, admin } = this.#inherited;
    const { relay } = this.#doors;
    for (const place of listenPlaces(derp, config.listen)) {
      const listen = () => relay.listen(place, tls?.certificate ?? null, tls?.challenge);
      await naming('listen', place.fd !== undefined, listen);
    }
    const plain = frontListener(frontSettings(config), null);
    for (const place of listenPlaces(http, config.http)) {
      const listen = () => this.#transport.listen({ ...place, ...plain }, this.#doors.http);
      this.#http.push(await naming('http', place.fd !== undefined, listen));
    }
    for (const { ip, port, fd } of listenPlaces(stun, config.stun.listen)) {
      await naming('stun', fd !== undefined, () => relay.stun.bind(this.#transport, ip, port, fd));
    }
    const [place] = listenPlaces(admin, config.admin === null ? [] : [config.admin]);
    if (place === undefined) return;
    const listen = () => this.#transport.listen({ tls: null, ...place }, this.#doors.admin());
    this.#admin = await naming('admin', place.fd !== undefined, listen);
  }

  get addresses(): RelayAddresses {
    const { relay } = this.#doors;
    return {
      derp: relay.addresses,
      http: this.#http.map((listener) => listener.address),
      stun: relay.stun.addresses,
      admin: this.#admin?.address ?? null,
    };
  }

  /** Closes the ports of clients; the admin port stays open. */
  async closeFront(): Promise<void> {
    await Promise.all([this.#doors.relay.closePorts(), ...this.#http.map((listener) => listener.close())]);
  }

  async closeAdmin(): Promise<void> {
    await this.#admin?.close();
  }
}
