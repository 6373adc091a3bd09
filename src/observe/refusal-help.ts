import type { RefusalReason } from './counters.ts';

/** The meaning of a reason, and what an operator can do. */
export interface RefusalHelp {
  readonly meaning: string;
  readonly advice: string;
}

const NOTHING = 'Usually nothing: scanners and broken connections cause this all the time.';
const BAD_CLIENT =
  'If it is one of your nodes, update its client. Others are scanners, which the limits per address slow down.';

/** An explanation of each reason for which a connection is refused or ended, for people who are not network engineers. */
export const REFUSAL_HELP: Readonly<Record<RefusalReason, RefusalHelp>> = {
  source_limit: {
    meaning: 'One address or network connects too often, fails too often, or has too many open connections.',
    advice:
      'If these are your own nodes behind one address, add the network to sources.exempt or raise limits.connectionsPerSource.',
  },
  connection_limit: {
    meaning: 'There are more connections than limits.connections or limits.httpConnections allows.',
    advice: 'Raise the limit if the machine has memory and descriptors for it, or add another relay to the region.',
  },
  descriptor_limit: {
    meaning: 'The process may not open more files and sockets.',
    advice: 'Raise the limit of open files: LimitNOFILE in systemd, --ulimit nofile with Docker, ulimit -n elsewhere.',
  },
  handshake_limit: {
    meaning: 'Too many connections are in their handshake at the same time.',
    advice: 'Short peaks after a restart are normal. If it lasts, check the addresses: it may be a flood.',
  },
  memory_limit: {
    meaning: 'Connections and their queues need more memory than limits.memoryMegabytes allows.',
    advice: 'Raise the limit if the machine has more memory, or add another relay to the region.',
  },
  proxy_header: {
    meaning: 'A trusted proxy sent no valid PROXY header.',
    advice: 'Turn the PROXY protocol on in the proxy, or proxy.protocol off here.',
  },
  untrusted_proxy: {
    meaning: 'A connection did not come from one of proxy.trusted.',
    advice: 'Add the address of the proxy to proxy.trusted, or make clients use the proxy.',
  },
  listener_error: {
    meaning: 'The system could not accept a connection.',
    advice: 'The log has the error of the system. Often the limit of open files is too low.',
  },
  admin_access: {
    meaning: 'A request to the admin listener had no token or a wrong one, or came under a name that is not allowed.',
    advice: 'If it was you, show the token of admin.tokenFile. Otherwise close the admin address to that network.',
  },
  tls_timeout: { meaning: 'The client did not finish the TLS handshake in time.', advice: NOTHING },
  tls_error: {
    meaning: 'The TLS handshake failed: the client offered nothing usable, or does not accept the certificate.',
    advice:
      'If your own nodes fail, compare the certificate and its pin with the DERP map. Plain HTTP on the TLS port looks the same.',
  },
  tls_closed: {
    meaning: 'The client closed the connection during the TLS handshake.',
    advice:
      'Clients do so when they do not accept the certificate: compare its name, dates and pin with the DERP map. Otherwise it is a scanner.',
  },
  head_timeout: { meaning: 'No complete HTTP request came in time.', advice: NOTHING },
  head_closed: { meaning: 'The client closed the connection before its HTTP request was complete.', advice: NOTHING },
  head_too_large: {
    meaning: 'The head of the HTTP request is larger than limits.requestHeadBytes.',
    advice: NOTHING,
  },
  head_invalid: { meaning: 'What came is not a valid HTTP request.', advice: NOTHING },
  handshake_timeout: {
    meaning: 'The client did not identify itself in time, or its admission took too long.',
    advice: 'If the detail says "waiting for admission", an admission source is slow or down.',
  },
  handshake_closed: {
    meaning: 'The client closed the connection before it had identified itself.',
    advice: 'Common when clients choose another path. If a node of yours does it all the time, read its log.',
  },
  client_info_type: { meaning: 'The first frame of the client is not ClientInfo.', advice: BAD_CLIENT },
  client_info_length: { meaning: 'The ClientInfo frame has an impossible length.', advice: BAD_CLIENT },
  client_info_key: { meaning: 'The ClientInfo frame has no usable node key.', advice: BAD_CLIENT },
  client_info_box: {
    meaning: 'The client did not prove its node key.',
    advice:
      'A client that knows an older key of this relay does so: compare the public key here with that in the DERP map. Otherwise it is a scanner.',
  },
  client_info_json: { meaning: 'The ClientInfo of the client cannot be read.', advice: BAD_CLIENT },
  client_info_app: {
    meaning: 'The application name of the client is longer than 32 bytes or not printable.',
    advice: BAD_CLIENT,
  },
  app_denied: {
    meaning: 'The application of the client is in admission.denyApps.',
    advice: 'Remove it from admission.denyApps if it may use the relay.',
  },
  not_admitted: {
    meaning: 'The node may not use this relay: no admission source lets it in, or it was denied or disconnected here.',
    advice:
      'The detail names the source. If it is your node, check that it is in that tailnet, and that the source works (see Admission).',
  },
  over_quota: {
    meaning: 'The key has used up the bytes that its tier has for this day or month.',
    advice:
      'Raise bytesPerDay or bytesPerMonth of the tier in fairness.tiers and reload, or wait for the next day (UTC).',
  },
  disconnected: {
    meaning: 'An operator has ended the connection.',
    advice: 'Nothing: the client may connect again. To keep it out, deny its key.',
  },
  bad_frame_length: { meaning: 'The client sent a frame with an impossible length.', advice: BAD_CLIENT },
  frame_too_large: { meaning: 'The client sent a frame that is larger than the protocol allows.', advice: BAD_CLIENT },
  no_mesh_rights: {
    meaning: 'The client sent a frame that only other relays of the region may send.',
    advice: 'If it is a relay of your region, give it the same mesh key.',
  },
  mesh_key: {
    meaning: 'The client gave a mesh key, as a relay of the region does, but not the one of this relay.',
    advice:
      'If it is a relay of your region, give both the same mesh key. Otherwise someone tries to guess it: check the address.',
  },
  mesh_source: {
    meaning: 'Another relay of the region forwarded a packet without a source key.',
    advice: 'Check that all relays of the region run current versions; the log has the address.',
  },
  close_peer: {
    meaning: 'Another relay of the region, or a tool with the mesh key, asked to close the connections of this key.',
    advice: 'Nothing, if an operator did it there.',
  },
  key_connections: {
    meaning: 'One node key has more connections than limits.connectionsPerKey; the oldest was closed.',
    advice: 'Usually a cloned machine: several machines run with the same node state. Log all but one in again.',
  },
  write_timeout: {
    meaning: 'The client read nothing for limits.writeDeadlineMs while data waited for it.',
    advice: 'Its network is gone or stalled. It connects again by itself.',
  },
  control_queue_full: {
    meaning: 'Too many control frames waited for the client.',
    advice: 'The client reads too slowly or not at all. It connects again by itself.',
  },
  websocket_refused: { meaning: 'The client asked for a WebSocket version other than 13.', advice: BAD_CLIENT },
  websocket_invalid: { meaning: 'The WebSocket request is not valid.', advice: BAD_CLIENT },
};
