import type { Edit } from './mutate.ts';

/** Bytes of an input: base64, text with one byte per character, or a few repeated bytes. */
export type Bytes =
  { readonly base64: string } | { readonly text: string } | { readonly hex: string; readonly times: number };

/** One step of an input. */
export type Step =
  /** Sent inside TLS, if there is TLS, and as a binary message, if there is WebSocket. */
  | { readonly send: Bytes }
  /** Sent inside TLS, but never as a message of WebSocket. */
  | { readonly bare: Bytes }
  /** Sent outside of TLS, which breaks TLS. */
  | { readonly raw: Bytes }
  /** A ClientInfo frame with this JSON, sealed for the relay, and then changed; `publicKey` (hex) replaces the own one. */
  | { readonly clientInfo: Bytes; readonly edits?: readonly Edit[]; readonly publicKey?: string }
  /** A SendPacket frame to oneself. */
  | { readonly toSelf: Bytes };

/** One connection, or some datagrams, with all data that is needed to repeat it. */
export interface Input {
  /** A description for people. */
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
  /** The correct steps before these; `login` is the upgrade and the handshake. */
  readonly start: 'nothing' | 'upgrade' | 'websocket' | 'login' | 'websocket-login';
  readonly steps: readonly Step[];
  /** Seed for cutting writes into pieces; 0: no cuts. */
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
