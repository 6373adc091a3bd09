import type { UdpUseAnswer } from '../../api/shapes.ts';
import { ApiError } from '../../http/api/api-error.ts';
import type { PeerRelay } from '../peer-relay/peer-relay.ts';

/**
 * Returns why the nodes in the parameters do not use the UDP relay. Rejects with an {@link ApiError} without a node.
 */
export async function udpUse(relay: PeerRelay, parameters: URLSearchParams): Promise<UdpUseAnswer> {
  const node = parameters.get('node') ?? '';
  if (node === '') {
    const advice = 'Give it a name, an IP address of the tailnet or a node key.';
    throw new ApiError(400, 'invalid_parameter', 'node: is missing', advice);
  }
  const reports = await relay.why(node, parameters.get('other'));
  return {
    isOn: true,
    reports: reports.map(({ conditions, ...report }) => ({
      ...report,
      conditions: conditions.map(({ hint, ...condition }) => ({ ...condition, advice: hint })),
    })),
  };
}
