import { Socket } from 'node:net';

/** Room for the largest read that Node offers: four TLS records. */
const WINDOW_BYTES = 65_536;

/** Called by Node with the socket as `this`; false stops reading. */
type WindowReader = (this: Socket, bytes: number, window: Buffer) => boolean;

/** Lets sockets read into one shared window instead of a fresh buffer per read. */
export interface FastRead {
  /** The next reads of `socket` go to `reader`. False when this socket cannot; nothing was changed then. */
  attach(socket: Socket, reader: WindowReader): boolean;
}

interface UserBufferHandle {
  useUserBuffer(window: Buffer): void;
}

function canUseBuffer(handle: unknown): handle is UserBufferHandle {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    'useUserBuffer' in handle &&
    typeof handle.useUserBuffer === 'function'
  );
}

/**
 * Finds Node's read-into-a-given-buffer path. The `onread` option offers it for client sockets only, so the two
 * properties that this option sets are looked for by value and set on other sockets too. Null when this Node has none.
 */
export function detectFastRead(): FastRead | null {
  const window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  const callback = (): boolean => true;
  const probe = new Socket({ onread: { buffer: window, callback } });
  const symbols = Object.getOwnPropertySymbols(probe);
  const bufferKey = symbols.find((key) => Reflect.get(probe, key) === window);
  const callbackKey = symbols.find((key) => Reflect.get(probe, key) === callback);
  if (bufferKey === undefined || callbackKey === undefined) return null;
  return {
    attach(socket, reader) {
      const handle: unknown = Reflect.get(socket, '_handle');
      if (!canUseBuffer(handle)) return false;
      Reflect.set(socket, bufferKey, window);
      Reflect.set(socket, callbackKey, reader);
      handle.useUserBuffer(window);
      return true;
    },
  };
}
