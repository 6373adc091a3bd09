/** `tcp://10.0.0.1:443`, also with an IPv6 address in brackets. */
const SERVICE_URL = /^(?:tcp|udp|sctp):\/\/\S+:\d{1,5}$/i;
/** Endings of variable names that only a Service has. */
const SERVICE_VARIABLE = /_SERVICE_(?:HOST|PORT(?:_\w+)?)$|_PORT_\d{1,5}_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/;
/** Links of Docker name the container, as in `/proxy/towpath`. */
const CONTAINER_NAME = /^\/[^/]+\/[^/]+$/;

/**
 * The variables that Kubernetes sets in every pod for each Service, and Docker for each legacy link. Those of a Service
 * whose name begins with `towpath` look like ours: for `towpath-derp` they are `TOWPATH_DERP_SERVICE_HOST`,
 * `…_SERVICE_PORT`, `…_SERVICE_PORT_NAME`, `…_PORT`, `…_PORT_443_TCP` and that with `_PROTO`, `_PORT` and `_ADDR`.
 */
export class ServiceLinks {
  readonly #env: Readonly<Record<string, string | undefined>>;
  /** Names of the Services and links, as the names of their variables begin. */
  readonly #services = new Set<string>();

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
    for (const name of Object.keys(env)) {
      if (this.#isServiceUrl(name)) this.#services.add(name.slice(0, -'_PORT'.length));
      else if (name.endsWith('_SERVICE_HOST')) this.#services.add(name.slice(0, -'_SERVICE_HOST'.length));
    }
  }

  /** Returns whether Kubernetes or Docker has set the variable, which is not a configuration key. */
  has(name: string): boolean {
    return SERVICE_VARIABLE.test(name) || this.replaces(name) || this.#isLinkEnvironment(name);
  }

  /** Returns whether the variable, which has the name of a key, holds a value of Kubernetes or Docker. */
  replaces(name: string): boolean {
    if (this.#isServiceUrl(name) || this.#services.has(name.replace(SERVICE_VARIABLE, ''))) return true;
    const service = name.endsWith('_NAME') ? name.slice(0, -'_NAME'.length) : null;
    return service !== null && this.#services.has(service) && CONTAINER_NAME.test(this.#env[name] ?? '');
  }

  #isServiceUrl(name: string): boolean {
    return name.endsWith('_PORT') && SERVICE_URL.test(this.#env[name] ?? '');
  }

  /**
   * Returns whether the variable comes from a linked container: Docker passes on its environment as `TOWPATH_ENV_…`.
   */
  #isLinkEnvironment(name: string): boolean {
    const at = name.indexOf('_ENV_');
    return at >= 0 && this.#services.has(name.slice(0, at));
  }
}
