/** An address to listen on, or an open socket of another program. */
export interface DoorPlace {
  readonly ip: string;
  readonly port: number;
  /** With `::`: also takes IPv4. Otherwise `::` is only IPv6. */
  readonly isDual?: boolean;
  /** The descriptor of a bound socket that the process inherited. Address and port are then those of the socket. */
  readonly fd?: number;
}

/** Returns both families of a port as two places. */
function wildcardPlaces(port: number): DoorPlace[] {
  return [
    { ip: '0.0.0.0', port },
    { ip: '::', port },
  ];
}

/**
 * Returns the places of a peer relay: inherited sockets first, then each port on every address, and then what `stun`
 * has more.
 */
export function relayPlaces(ports: readonly number[], stun: readonly DoorPlace[]): DoorPlace[] {
  const inherited = stun.filter(({ fd }) => fd !== undefined);
  const places = ports.flatMap((port) => wildcardPlaces(port));
  const more = stun
    .filter(({ fd }) => fd === undefined)
    .flatMap((place) => (place.ip === '::' ? wildcardPlaces(place.port) : [place]));
  for (const place of more) if (!places.some((other) => covers(other, place))) places.push(place);
  return [...inherited, ...places];
}

/**
 * Returns whether one of the `open` sockets is inherited and has the port of a place. Nothing else is opened there: the
 * kernel would refuse most of it.
 */
export function isInheritedPort(open: Iterable<DoorPlace>, { port, fd }: DoorPlace): boolean {
  if (fd !== undefined || port === 0) return false;
  for (const place of open) if (place.fd !== undefined && place.port === port) return true;
  return false;
}

function covers(place: DoorPlace, other: DoorPlace): boolean {
  if (place.port !== other.port) return false;
  return place.ip === other.ip || place.ip === (other.ip.includes(':') ? '::' : '0.0.0.0');
}
