import type { Edit } from './mutate.ts';

/** Bytes of an input: base64, text of which each character is a byte, or a few bytes many times. */
export type Bytes =
  { readonly base64: string } | { readonly text: string } | { readonly hex: string; readonly times: number };

/** What is sent, in order. */
export type Step =
  /** Inside TLS where there is TLS, and as a binary message where there is WebSocket. */
  | { readonly send: Bytes }
  /** Inside TLS, but never made a message. */
  | { readonly bare: Bytes }
  /** Below TLS, which breaks it. */
  | { readonly raw: Bytes }
  /** A ClientInfo frame with this JSON, sealed for the relay, and then changed; `publicKey` (hex) replaces the own one. */
  | { readonly clientInfo: Bytes; readonly edits?: readonly Edit[]; readonly publicKey?: string }
  /** A SendPacket frame to oneself. */
  | { readonly toSelf: Bytes };

/** One connection, or some datagrams. It holds all that is needed to do the same again. */
export interface Input {
  /** What it is, for people. */
  readonly name: string;
  readonly port: 'derp' | 'http' | 'stun';
  /** Null: no TLS. */
  readonly tls: {
    readonly alpn?: readonly string[];
    readonly serverName?: string;
    readonly maxVersion?: 'TLSv1.2';
  } | null;
  /** Sent before TLS: a PROXY header. */
  readonly preamble?: Bytes;
  /** Done properly first; `login` is the upgrade and the handshake. */
  readonly start: 'nothing' | 'upgrade' | 'websocket' | 'login' | 'websocket-login';
  readonly steps: readonly Step[];
  /** Seed of how writes are cut; 0: not at all. */
  readonly cuts: number;
  readonly end: 'fin' | 'reset' | 'half-close' | 'wait';
}

export function bytesOf(bytes: Bytes): Buffer {
  if ('hex' in bytes) return Buffer.from(bytes.hex.repeat(bytes.times), 'hex');
  return 'text' in bytes ? Buffer.from(bytes.text, 'latin1') : Buffer.from(bytes.base64, 'base64');
}

export function asBytes(buffer: Buffer): Bytes {
  return { base64: buffer.toString('base64') };
}
