import type { SocketAddress } from '../wire/relay-endpoint.ts';
import type { AllocationRefusal } from '../relay/udp/endpoints.ts';
import type { GrantedEndpoint, NodeRate, UdpRelayAnswer, UdpRelayCommand } from '../relay/udp/commands.ts';

/** A permitted request for an endpoint. */
export interface EndpointRequest {
  readonly clientKeys: readonly [Buffer, Buffer];
  /** Disco key of the client that sealed the request. */
  readonly askingKey: Buffer;
  readonly node: string;
  readonly otherNode: string | null;
}

/** The endpoints of the UDP relay and its addresses, shared by the nodes of all tailnets. */
export interface EndpointTable {
  /** Addresses of the relay for clients, best first; empty while they are not known. */
  addresses(): readonly SocketAddress[];
  /** Rejects when the UDP relay is not running. */
  allocate(request: EndpointRequest): Promise<GrantedEndpoint | AllocationRefusal>;
  /** Ends all endpoints of these nodes. */
  revoke(nodes: readonly string[]): void;
}

/** Sends a command to the UDP thread and resolves with its answer, which is plain data. */
export type CommandPort = (command: UdpRelayCommand) => Promise<unknown>;

/** The endpoint table of the UDP thread, seen through the port to that thread. */
export class RemoteEndpointTable implements EndpointTable {
  readonly #command: CommandPort;
  readonly #addresses: () => readonly SocketAddress[];
  readonly #ratesOf: (nodes: readonly string[]) => readonly NodeRate[];
  #lastId = 0;

  /** `ratesOf` tells what nodes may send. */
  constructor(
    command: CommandPort,
    addresses: () => readonly SocketAddress[],
    ratesOf: (nodes: readonly string[]) => readonly NodeRate[],
  ) {
    this.#command = command;
    this.#addresses = addresses;
    this.#ratesOf = ratesOf;
  }

  addresses(): readonly SocketAddress[] {
    return this.#addresses();
  }

  async allocate(request: EndpointRequest): Promise<GrantedEndpoint | AllocationRefusal> {
    const { node, otherNode } = request;
    const rates = this.#ratesOf(otherNode === null ? [node] : [node, otherNode]);
    const command: UdpRelayCommand = { kind: 'allocate', id: ++this.#lastId, ...request, rates };
    const answer = (await this.#command(command)) as UdpRelayAnswer | null;
    if (answer?.kind === 'granted') return answer.endpoint;
    if (answer?.kind === 'refused') return answer.reason;
    throw new Error('the UDP relay gave no answer to an allocation');
  }

  revoke(nodes: readonly string[]): void {
    // A relay that is not running has no endpoints.
    this.#command({ kind: 'revoke', nodes }).catch(() => {});
  }
}
