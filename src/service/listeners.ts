import type { Config } from '../config/schema.ts';
import { frontListener } from '../relay/front-listener.ts';
import type { Relay } from '../relay/relay.ts';
import { formatHostPort, isLoopback } from '../base/ip-address.ts';
import { TowpathError } from '../base/errors.ts';
import type { CertificatePair, Endpoint, Listener, ListenerHandler, ServerTls, Transport } from '../transport/port.ts';
import type { InheritedSockets } from './inherited-sockets.ts';
import type { ListenPlace } from './threads/own-socket.ts';
import { naming } from './listen-keys.ts';
import { listenPlaces } from './listen-places.ts';
import { frontSettings } from './relay-settings.ts';

/** The real addresses of a running relay. */
export interface RelayAddresses {
  readonly derp: readonly Endpoint[];
  readonly http: readonly Endpoint[];
  readonly stun: readonly Endpoint[];
  readonly admin: Endpoint | null;
  /** The path of the Unix socket for the administration. */
  readonly adminSocket: string | null;
}

/** The handler of each port. */
export interface PortHandlers {
  /** The relay, which opens the ports for DERP. */
  readonly relay: Relay;
  readonly http: ListenerHandler;
  /** Called when the admin listener has a port. */
  readonly admin: () => ListenerHandler;
}

/** All TCP ports of the process: those of the configuration, or those that a service manager has opened instead. */
export class Listeners {
  readonly #transport: Transport;
  readonly #inherited: InheritedSockets;
  readonly #doors: PortHandlers;
  readonly #http: Listener[] = [];
  readonly #admin: Listener[] = [];
  #socket: string | null = null;

  constructor(transport: Transport, inherited: InheritedSockets, doors: PortHandlers) {
    this.#transport = transport;
    this.#inherited = inherited;
    this.#doors = doors;
  }

  /**
   * Opens the ports of clients, those for DERP with `tls` or without. With `sharesPorts`, other threads may also listen
   * on the ports for DERP. Throws a TowpathError when one cannot be opened; others stay open.
   */
  async openFront(
    config: Config,
    tls: Pick<ServerTls, 'certificate' | 'challenge'> | null,
    sharesPorts: boolean,
  ): Promise<void> {
    const { derp, http } = this.#inherited;
    const { relay } = this.#doors;
    for (const place of listenPlaces(derp, config.listen)) {
      const listen = () => relay.listen(place, tls?.certificate ?? null, tls?.challenge);
      if (sharesPorts && place.fd === undefined) await naming('listen', false, () => this.#checkFree(place));
      await naming('listen', place.fd !== undefined, listen);
    }
    const plain = frontListener(frontSettings(config), null);
    for (const place of listenPlaces(http, config.http)) {
      const listen = () => this.#transport.listen({ ...place, ...plain }, this.#doors.http);
      this.#http.push(await naming('http', place.fd !== undefined, listen));
    }
  }

  /** Opens the ports of the administration, if it has any. Throws a TowpathError when one cannot be opened. */
  async openAdmin({ admin, limits }: Config, tls: Pick<ServerTls, 'certificate'> | null): Promise<void> {
    const [place] = listenPlaces(this.#inherited.admin, admin.listen === null ? [] : [admin.listen]);
    if (place === undefined && admin.socket === undefined) return;
    const door = this.#doors.admin();
    if (place !== undefined) {
      const secure = admin.tls && tls !== null;
      const own = secure ? { certificate: tls.certificate, handshakeTimeoutMs: limits.tlsHandshakeMs } : null;
      const listen = () => this.#transport.listen({ ...place, tls: own }, door);
      const listener = await naming('admin', place.fd !== undefined, listen);
      this.#admin.push(listener);
      const { ip, port } = listener.address;
      const hasToken = admin.token !== undefined || admin.tokenFile !== undefined;
      // The configuration was checked for this. An inherited socket may have any address.
      if (ip !== '' && !isLoopback(ip) && !(secure && hasToken)) throw exposed(formatHostPort(ip, port));
    }
    if (admin.socket !== undefined) {
      const { socket } = admin;
      const listen = () => this.#transport.listen({ ip: '', port: 0, path: socket, tls: null }, door);
      this.#admin.push(await naming('admin', false, listen));
      this.#socket = socket;
    }
  }

  /** Throws when the port is in use: a shared port would also open when another process of this user shares it. */
  async #checkFree({ ip, port }: { readonly ip: string; readonly port: number }): Promise<void> {
    if (port === 0) return;
    const nobody = { accepted: () => null, refused: () => undefined, error: () => undefined };
    await (await this.#transport.listen({ ip, port, tls: null }, nobody)).close();
  }

  /** Where further relay threads listen: at the ports for DERP of the main thread. */
  get derpPlaces(): ListenPlace[] {
    const { derp } = this.#inherited;
    return this.#doors.relay.addresses.map((place, i) => (derp.length === 0 ? place : { ...place, fd: derp[i]! }));
  }

  /** The real addresses of the open ports. */
  get addresses(): Omit<RelayAddresses, 'stun'> {
    const { relay } = this.#doors;
    return {
      derp: relay.addresses,
      http: this.#http.map((listener) => listener.address),
      admin: this.#admin.find(({ address }) => address.ip !== '')?.address ?? null,
      adminSocket: this.#socket,
    };
  }

  /** Closes the ports of clients; the admin port stays open. */
  async closeFront(): Promise<void> {
    await Promise.all([this.#doors.relay.closePorts(), ...this.#http.map((listener) => listener.close())]);
  }

  /** Uses this certificate for new connections to the admin port, where it has TLS. */
  replaceAdminCertificate(pair: CertificatePair): void {
    for (const listener of this.#admin) listener.replaceCertificate(pair);
  }

  /** Closes the ports of the administration. */
  async closeAdmin(): Promise<void> {
    await Promise.all(this.#admin.map((listener) => listener.close()));
  }
}

function exposed(where: string): TowpathError {
  return new TowpathError('TOWPATH_ADMIN_EXPOSED', `The admin socket ${where} can be reached by other machines.`, {
    hint: 'Change the socket unit to 127.0.0.1:9090, or set admin.tls: true and admin.tokenFile.',
  });
}
