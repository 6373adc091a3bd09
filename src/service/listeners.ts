import type { Config } from '../config/schema.ts';
import type { StunServer } from '../relay/udp/stun-server.ts';
import type { CertificatePair, Endpoint, Listener, ListenerHandler, ServerTls, Transport } from '../transport/port.ts';
import { exposedListener, listenPlaces } from './exposure.ts';
import type { InheritedSockets } from './inherited-sockets.ts';
import { naming } from './listen-keys.ts';

/** Where a running relay really listens. */
export interface RelayAddresses {
  readonly derp: readonly Endpoint[];
  readonly http: readonly Endpoint[];
  readonly stun: readonly Endpoint[];
  readonly admin: Endpoint | null;
}

/** Who is behind which port. */
export interface PortHandlers {
  readonly derp: ListenerHandler;
  readonly http: ListenerHandler;
  readonly stun: StunServer;
  /** Asked for when the administration has a port. */
  readonly admin: () => ListenerHandler;
}

/** All ports of a relay: those that the configuration names, or that a service manager has opened in their place. */
export class Listeners {
  readonly #transport: Transport;
  readonly #inherited: InheritedSockets;
  readonly #stun: StunServer;
  readonly #doors: PortHandlers;
  readonly #derp: Listener[] = [];
  readonly #http: Listener[] = [];
  #admin: Listener | null = null;

  constructor(transport: Transport, inherited: InheritedSockets, doors: PortHandlers) {
    this.#transport = transport;
    this.#inherited = inherited;
    this.#doors = doors;
    this.#stun = doors.stun;
  }

  /** Opens all ports, the front with `tls` or without. Throws a TowpathError when one cannot be had; others stay open. */
  async open(config: Config, tls: ServerTls | null): Promise<void> {
    const { derp, http, stun, admin } = this.#inherited;
    const front = exposedListener(config, tls);
    const plain = exposedListener(config, null);
    for (const place of listenPlaces(derp, config.listen)) {
      const listen = () => this.#transport.listen({ ...place, ...front }, this.#doors.derp);
      this.#derp.push(await naming('listen', place.fd !== undefined, listen));
    }
    for (const place of listenPlaces(http, config.http)) {
      const listen = () => this.#transport.listen({ ...place, ...plain }, this.#doors.http);
      this.#http.push(await naming('http', place.fd !== undefined, listen));
    }
    for (const { ip, port, fd } of listenPlaces(stun, config.stun.listen)) {
      await naming('stun', fd !== undefined, () => this.#stun.bind(this.#transport, ip, port, fd));
    }
    const [place] = listenPlaces(admin, config.admin === null ? [] : [config.admin]);
    if (place === undefined) return;
    const listen = () => this.#transport.listen({ tls: null, ...place }, this.#doors.admin());
    this.#admin = await naming('admin', place.fd !== undefined, listen);
  }

  get addresses(): RelayAddresses {
    return {
      derp: this.#derp.map((listener) => listener.address),
      http: this.#http.map((listener) => listener.address),
      stun: this.#stun.addresses,
      admin: this.#admin?.address ?? null,
    };
  }

  /** Uses this certificate for new connections. */
  replaceCertificate(pair: CertificatePair): void {
    for (const listener of this.#derp) listener.replaceCertificate(pair);
  }

  /** Closes what clients come to; the administration stays. */
  async closeFront(): Promise<void> {
    await Promise.all([...this.#derp, ...this.#http].map((listener) => listener.close()));
    await this.#stun.close();
  }

  async closeAdmin(): Promise<void> {
    await this.#admin?.close();
  }
}
