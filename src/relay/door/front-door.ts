/**
 * Connections before they are DERP sessions. The front door reads the first request head and chooses between DERP and
 * HTTP. Before that, `source-guard.ts` decides whether a connection is accepted at all, by limits in total, by source
 * and by memory. `websocket-stream.ts` turns WebSocket messages into a stream.
 */
import { SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import type { Counters, RefusalReason } from '../../observe/counters.ts';
import type { Endpoint, ListenerHandler, Stream, StreamHandler } from '../../transport/port.ts';
import { forwardedClient, type ForwardedHeader } from '../../wire/forwarded.ts';
import { type Door, DoorConnection } from './door-connection.ts';
import type { DoorGuard, GuardRefusal } from './door-guard.ts';
import { HEAD_END, type HeadListener, HeadReader } from './head-reader.ts';
import { derpFacts, parseRequestHead, type RequestHead, upgradeOf } from '../../wire/request-head.ts';

/** The handlers behind the front door. */
export interface DoorHandlers {
  /** Starts a DERP connection on the stream and returns its handler. */
  derp(stream: Stream, facts: { readonly fastStart: boolean; readonly notIdeal: boolean }): StreamHandler;
  /**
   * Takes all other requests. `received` has all bytes so far, head included, and may be kept. `isAllowed`, if not
   * null, must be called for each further request on the stream; it reports a refusal.
   */
  http(stream: Stream, received: Buffer, isAllowed: ((head: RequestHead) => boolean) | null): void;
  refused(reason: RefusalReason, remote: Endpoint, detail: string): void;
}

export interface FrontDoorLimits {
  /** Bytes of a request head. */
  readonly requestHeadBytes: number;
  /** Time limit from the end of the TLS handshake to the end of the request head. */
  readonly requestHeadMs: number;
}

/** Proxies that speak HTTP to the relay, over TLS or without, and name their client in a header. */
export interface FrontProxies {
  readonly isTrusted: (ip: string) => boolean;
  readonly header: ForwardedHeader;
  /** True when only these proxies may connect: other bytes without TLS are a mistake. */
  readonly excludesOthers: boolean;
}

export interface FrontDoorParts {
  readonly handlers: DoorHandlers;
  readonly limits: FrontDoorLimits;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly guard: DoorGuard;
  /** Null when clients connect directly, or through a proxy that passes TLS on. */
  readonly proxies: FrontProxies | null;
  /** The listener has a problem. */
  readonly onListenerError: (error: Error) => void;
}

/** Time limit for a refused stream to take the answer. */
const REFUSAL_FINISH_MS = 2000;
const STATUS_TEXT = {
  400: 'Bad Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  505: 'HTTP Version Not Supported',
};

/**
 * The handler of a listener. It reads the first request head of each stream, limited in size and time, and decides
 * whether the stream becomes a DERP connection or goes to the HTTP server. Bytes that arrive with the head are not
 * lost.
 */
export class FrontDoor implements ListenerHandler, Door, HeadListener {
  readonly #handlers: DoorHandlers;
  readonly #limits: FrontDoorLimits;
  readonly #clock: Clock;
  readonly counters: Counters;
  readonly #guard: DoorGuard;
  readonly #proxies: FrontProxies | null;
  readonly #onListenerError: (error: Error) => void;
  readonly #waiting = new Set<HeadReader>();
  readonly #stopTicking: () => void;

  constructor({ handlers, limits, clock, counters, guard, proxies, onListenerError }: FrontDoorParts) {
    this.#handlers = handlers;
    this.#limits = limits;
    this.#clock = clock;
    this.counters = counters;
    this.#guard = guard;
    this.#proxies = proxies;
    this.#onListenerError = onListenerError;
    this.#stopTicking = clock.onTick((now) => this.#expire(now), SLOW_TICK_MS);
  }

  accepted(remote: Endpoint): DoorConnection | null {
    if (this.#proxies?.excludesOthers === true && !this.#proxies.isTrusted(remote.ip)) {
      this.counters.tcpAccepts++;
      this.#handlers.refused('untrusted_proxy', remote, 'not in proxy.trusted');
      return null;
    }
    return DoorConnection.admit(this, this.#guard, remote);
  }

  entered(stream: Stream, connection: DoorConnection): StreamHandler {
    const version = stream.tls?.version;
    if (version !== undefined)
      this.counters.tlsVersions[version === 'TLSv1.3' || version === 'TLSv1.2' ? version : 'unknown']++;
    const { requestHeadBytes, requestHeadMs } = this.#limits;
    const reader = new HeadReader(this, requestHeadBytes, this.#clock.now + requestHeadMs, stream, connection);
    this.#waiting.add(reader);
    this.#clock.tickBy(reader.deadline);
    return reader;
  }

  refused(reason: RefusalReason, remote: Endpoint, detail: string): void {
    this.#handlers.refused(reason, remote, detail);
  }

  error(error: Error): void {
    this.#handlers.refused('listener_error', { ip: '', port: 0 }, error.message);
    this.#onListenerError(error);
  }

  /** Stops the deadlines; streams that still wait for their head are closed. */
  close(): void {
    this.#stopTicking();
    for (const reader of this.#waiting) reader.stream.abort();
  }

  complete(reader: HeadReader, received: Buffer, headEnd: number): void {
    const { stream } = reader;
    const head = parseRequestHead(received.toString('latin1', 0, headEnd));
    if ('status' in head) {
      this.#refuse(reader, 'head_invalid', head.status, head.detail);
      return;
    }
    const peer = stream.remote;
    const refusal = this.#forwardedRefusal(reader, peer, head);
    if (refusal !== null) {
      this.#refuse(reader, refusal.reason, 429, refusal.detail, refusal.remote);
      return;
    }
    this.#settle(reader);
    if (upgradeOf(head) === 'derp') {
      const handler = this.#handlers.derp(stream, derpFacts(head));
      stream.handler = handler;
      const rest = headEnd + HEAD_END.length;
      if (rest < received.length) handler.bytes(stream, received, rest, received.length);
    } else {
      this.#handlers.http(stream, Buffer.from(received), this.#furtherRequests(reader, peer));
    }
  }

  /** Answers with `status` and closes. */
  #refuse(
    reader: HeadReader,
    reason: RefusalReason,
    status: keyof typeof STATUS_TEXT,
    detail = '',
    remote: Endpoint = reader.stream.remote,
  ): void {
    this.#settle(reader);
    const text = `HTTP/1.1 ${status} ${STATUS_TEXT[status]}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status} ${STATUS_TEXT[status]}`;
    const answer = Buffer.from(text, 'latin1');
    reader.stream.write(answer, 0, answer.length);
    reader.stream.finish(REFUSAL_FINISH_MS);
    this.#handlers.refused(reason, remote, detail);
  }

  tooLarge(reader: HeadReader): void {
    this.#refuse(reader, 'head_too_large', 431);
  }

  gone(reader: HeadReader): void {
    if (this.#settle(reader) && !reader.connection.isEvicted) {
      this.#handlers.refused('head_closed', reader.stream.remote, '');
    }
  }

  /** The head is complete or will never be. Returns false when that was already known. */
  #settle(reader: HeadReader): boolean {
    const waited = this.#waiting.delete(reader);
    if (waited) reader.connection.progressed();
    return waited;
  }

  /**
   * Returns the check for further requests: a proxy may send requests of several clients on one connection, and each
   * counts for its client.
   */
  #furtherRequests(of: HeadReader, peer: Endpoint): ((head: RequestHead) => boolean) | null {
    if (this.#proxies?.isTrusted(peer.ip) !== true) return null;
    return (head) => {
      const refusal = this.#forwardedRefusal(of, peer, head);
      if (refusal !== null) this.#handlers.refused(refusal.reason, refusal.remote, refusal.detail);
      return refusal === null;
    };
  }

  /**
   * Counts the stream for the client that a trusted proxy, the `peer`, names in a request, or for the peer when it
   * names none. Refuses when that client has too many.
   */
  #forwardedRefusal(
    { stream, connection }: HeadReader,
    peer: Endpoint,
    head: RequestHead,
  ): (GuardRefusal & { readonly remote: Endpoint }) | null {
    const proxies = this.#proxies;
    if (proxies?.isTrusted(peer.ip) !== true) return null;
    const value = head.headers.get(proxies.header);
    const ip = value === undefined ? null : forwardedClient(proxies.header, value, proxies.isTrusted);
    const remote = ip === null ? peer : { ip, port: 0, isBehindProxy: true };
    if (remote.ip === stream.remote.ip && remote.isBehindProxy === stream.remote.isBehindProxy) return null;
    const refusal = connection.movedTo(remote);
    if (refusal !== null) return { ...refusal, remote };
    stream.remote = remote;
    return null;
  }

  #expire(now: number): void {
    for (const reader of this.#waiting) {
      // Readers are in order of their deadlines, so the first one with time left ends the search.
      if (reader.deadline > now) {
        this.#clock.tickBy(reader.deadline);
        return;
      }
      this.#settle(reader);
      this.#handlers.refused('head_timeout', reader.stream.remote, '');
      reader.stream.abort();
    }
  }
}
