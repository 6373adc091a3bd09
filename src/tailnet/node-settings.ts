/** The configuration of one node of a tailnet. */
export interface NodeSettings {
  /** Name of the tailnet in the log, on the status page and in file names. */
  readonly name: string;
  readonly controlUrl: string;
  /** Reads the auth key each time, because its file may change; null when there is none. Throws a TowpathError. */
  readonly readAuthKey: () => string | null;
  readonly hostname: string;
  /** Such as `tag:relay`; empty when the auth key has the tags. */
  readonly tags: readonly string[];
  /** The DERP region of this relay, which is the node's home. */
  readonly region: number;
  readonly capabilityVersion: number;
  /** An authority to trust in addition to the usual ones, PEM. */
  readonly caPem: string | null;
  /** The longest frame of the network map, in bytes. */
  readonly mapBytes: number;
  /** Largest number of peers in the network map. */
  readonly peers: number;
}

/** Returns the facts that the node sends about itself to the control server (peer-relay reference §15.2). */
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
    // Sent in every request, so that clients never see the node without a home region.
    NetInfo: {
      PreferredDERP: settings.region,
      WorkingUDP: true,
      DERPLatency: { [`${settings.region}-v4`]: 0.001 },
    },
  };
}
