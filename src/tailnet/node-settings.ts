/** What is configured about one node of a tailnet. */
export interface NodeSettings {
  /** Names the tailnet in the log, on the page and in file names. */
  readonly name: string;
  readonly controlUrl: string;
  /** Asked for whenever it is needed, so that a file may change; null when there is none. Throws a TowpathError. */
  readonly readAuthKey: () => string | null;
  readonly hostname: string;
  /** Such as `tag:relay`; empty when the auth key brings them. */
  readonly tags: readonly string[];
  /** The DERP region of this relay, which is the node's home. */
  readonly region: number;
  readonly capabilityVersion: number;
  /** An authority that is trusted besides the usual ones, PEM. */
  readonly caPem: string | null;
  /** The longest frame of the network map, in bytes. */
  readonly mapBytes: number;
  /** Peers of the network map. */
  readonly peers: number;
}

/** What the node says about itself to the control server (peer-relay reference §15.2). */
export function hostinfo(settings: NodeSettings, logId: string, version: string): object {
  return {
    Hostname: settings.hostname,
    OS: 'linux',
    IPNVersion: `${version}-towpath`,
    App: 'towpath',
    BackendLogID: logId,
    Userspace: true,
    PeerRelay: true,
    ...(settings.tags.length === 0 ? {} : { RequestTags: settings.tags }),
    // In every request, so that no client ever sees the node without a home region.
    NetInfo: {
      PreferredDERP: settings.region,
      WorkingUDP: true,
      DERPLatency: { [`${settings.region}-v4`]: 0.001 },
    },
  };
}
