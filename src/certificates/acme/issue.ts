import { errorMessage } from '../../base/errors.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { formatCertificateKey, generateCertificateKey } from '../make-certificate.ts';
import { covers, readPair, type ReadCertificate } from '../read.ts';
import type { AcmeChallengeAnswers } from './challenge-answers.ts';
import { showDns } from './dns-hook.ts';
import { AcmeFailure } from './failure.ts';
import {
  identifierOf,
  type AcmeClient,
  type Authorization,
  type Challenge,
  type ChallengeType,
  type OpenAcmeClient,
  type Order,
} from './port.ts';
import type { AcmeSettings } from './settings.ts';
import type { AcmeState, AcmeStore } from './store.ts';
import { readDirectory, type Requester } from './authority-requests.ts';
import type { EventLog } from '../../base/event-log.ts';

const SHORT_LIVED = 'shortlived';

/** Parameters of one attempt to get a certificate. */
export interface IssueParts {
  readonly settings: AcmeSettings;
  readonly store: AcmeStore;
  readonly answers: AcmeChallengeAnswers;
  readonly openClient: OpenAcmeClient;
  readonly request: Requester;
  readonly log: EventLog;
  /** Called with a new order, so that a crash or a stop does not lose it. */
  readonly rememberOrder: (order: NonNullable<AcmeState['order']>) => void;
}

/**
 * Makes one attempt to get a certificate, without writing it to the disk. Throws an {@link AcmeFailure}, or an error of
 * the disk.
 */
export async function issue(parts: IssueParts, state: AcmeState, replaces: string | null): Promise<ReadCertificate> {
  try {
    return await new Issue(parts, state, replaces).run();
  } catch (error) {
    if (!(error instanceof AcmeFailure) || error.kind !== 'no-account') throw error;
  }
  // A private authority that was installed again does not know our account; the key can still be used.
  const { settings, store } = parts;
  store.saveAccount(settings.directory, { ...store.account(settings.directory), accountUrl: null });
  return new Issue(parts, { ...state, order: null }, replaces).run();
}

class Issue {
  readonly #parts: IssueParts;
  readonly #state: AcmeState;
  readonly #replaces: string | null;

  constructor(parts: IssueParts, state: AcmeState, replaces: string | null) {
    this.#parts = parts;
    this.#state = state;
    this.#replaces = replaces;
  }

  async run(): Promise<ReadCertificate> {
    const { settings } = this.#parts;
    const { profiles } = await readDirectory(this.#parts.request, settings.directory);
    const client = await this.#account();
    const { order, keyPem } = await this.#order(client, profiles);
    for (const authorization of order.authorizations) {
      if (!authorization.isValid) await this.#prove(client, authorization);
    }
    const certPem = await client.finish(order.url, settings.names, keyPem);
    const certificate = readPair({ certPem, keyPem }, 'the new certificate', 'the key of the order');
    const missing = settings.names.filter((name) => !covers(certificate.leaf, name));
    if (missing.length > 0) throw new AcmeFailure('answer', `the new certificate is not for ${missing.join(', ')}`);
    return certificate;
  }

  async #account(): Promise<AcmeClient> {
    const { settings, store, openClient } = this.#parts;
    const account = store.account(settings.directory);
    const client = await openClient(account, settings.email, settings.readEab());
    if (account.accountUrl === null) {
      store.saveAccount(settings.directory, { ...account, accountUrl: await client.register() });
    }
    return client;
  }

  /** Continues an order from before a crash or a stop: a new one would count against the limits. */
  async #order(client: AcmeClient, profiles: readonly string[]): Promise<{ order: Order; keyPem: string }> {
    const { order: begun } = this.#state;
    const resumed = begun === null ? null : await client.resume(begun.url);
    if (begun !== null && resumed !== null) return { order: resumed, keyPem: begun.keyPem };
    const keyPem = formatCertificateKey(generateCertificateKey());
    const order = await this.#newOrder(client, profiles, this.#replaces);
    this.#parts.rememberOrder({ url: order.url, keyPem });
    return { order, keyPem };
  }

  async #newOrder(client: AcmeClient, profiles: readonly string[], replaces: string | null): Promise<Order> {
    const { names, profile } = this.#parts.settings;
    const hasIp = names.some((name) => ipFamily(name) !== 0);
    const identifiers = names.map((name) => identifierOf(name, ipFamily(name) !== 0));
    try {
      return await client.order({
        identifiers,
        profile: profile ?? (hasIp && profiles.includes(SHORT_LIVED) ? SHORT_LIVED : null),
        replaces,
      });
    } catch (error) {
      // Naming the old certificate is optional; the new one does not depend on it.
      if (replaces === null || !(error instanceof AcmeFailure) || error.kind === 'unreachable') throw error;
      return this.#newOrder(client, profiles, null);
    }
  }

  async #prove(client: AcmeClient, authorization: Authorization): Promise<void> {
    const challenge = this.#choose(authorization);
    const { log } = this.#parts;
    const name = authorization.identifier.value;
    const clear = await this.#show(name, challenge);
    try {
      await client.prove(authorization, challenge);
    } finally {
      try {
        await clear();
      } catch (error) {
        log.warn({ name, error: errorMessage(error) }, 'the answer to a challenge could not be removed');
      }
    }
  }

  /** Returns the preferred challenge first, and the next one after each failure. */
  #choose({ identifier, challenges }: Authorization): Challenge & { readonly type: ChallengeType } {
    const usable = this.#parts.settings.challenges.filter((type) => type !== 'dns-01' || identifier.type === 'dns');
    const from = usable.length === 0 ? 0 : this.#state.failures % usable.length;
    for (const type of [...usable.slice(from), ...usable.slice(0, from)]) {
      const challenge = challenges.find((offered) => offered.type === type);
      if (challenge !== undefined) return { ...challenge, type };
    }
    const offered = challenges.map(({ type }) => type).join(', ');
    throw new AcmeFailure('local', `the authority offers ${offered || 'no known challenge'} for ${identifier.value}`, {
      hint: 'Set certificate.acme.challenges to one of them.',
    });
  }

  async #show(
    name: string,
    { type, token, answer }: Challenge & { readonly type: ChallengeType },
  ): Promise<() => Promise<void> | void> {
    const { answers, settings } = this.#parts;
    switch (type) {
      case 'http-01':
        return answers.showHttp(token, answer);
      case 'tls-alpn-01':
        return answers.showAlpn(name, answer);
      case 'dns-01':
        return showDns(settings.dnsHook, name, answer);
    }
  }
}
