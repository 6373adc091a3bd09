import type { SocketAddress } from '../wire/relay-endpoint.ts';
import type { AllocationRefusal } from '../relay/udp/endpoints.ts';
import type { GrantedEndpoint, UdpRelayAnswer, UdpRelayCommand } from '../relay/udp/commands.ts';

/** A request for an endpoint that was found to be permitted. */
export interface EndpointRequest {
  readonly clientKeys: readonly [Buffer, Buffer];
  /** The one of them that sealed the request. */
  readonly askingKey: Buffer;
  readonly node: string;
  readonly otherNode: string | null;
}

/** What the nodes of all tailnets share: the endpoints of the UDP relay, and where it can be reached. */
export interface EndpointTable {
  /** Where clients reach the relay, best first; empty while nothing is known. */
  addresses(): readonly SocketAddress[];
  /** Rejects when the UDP relay is not there. */
  allocate(request: EndpointRequest): Promise<GrantedEndpoint | AllocationRefusal>;
  /** Ends all endpoints of these nodes. */
  revoke(nodes: readonly string[]): void;
}

/** Says something to the UDP thread and resolves with its answer, plain data. */
export type CommandPort = (command: UdpRelayCommand) => Promise<unknown>;

/** The endpoint table of the UDP thread, seen through the port to that thread. */
export class RemoteEndpointTable implements EndpointTable {
  readonly #command: CommandPort;
  readonly #addresses: () => readonly SocketAddress[];
  #lastId = 0;

  constructor(command: CommandPort, addresses: () => readonly SocketAddress[]) {
    this.#command = command;
    this.#addresses = addresses;
  }

  addresses(): readonly SocketAddress[] {
    return this.#addresses();
  }

  async allocate(request: EndpointRequest): Promise<GrantedEndpoint | AllocationRefusal> {
    const answer = (await this.#command({ kind: 'allocate', id: ++this.#lastId, ...request })) as UdpRelayAnswer | null;
    if (answer?.kind === 'granted') return answer.endpoint;
    if (answer?.kind === 'refused') return answer.reason;
    throw new Error('the UDP relay gave no answer to an allocation');
  }

  revoke(nodes: readonly string[]): void {
    // A relay that is not there has no endpoints.
    this.#command({ kind: 'revoke', nodes }).catch(() => {});
  }
}
