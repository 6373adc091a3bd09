import { duplicateDescriptor } from '../../system/duplicate.ts';
import { loadSystemCalls } from '../../system/runtime.ts';
import type { Endpoint } from '../../transport/port.ts';

/** Where a relay thread listens: an address, or a socket of a service manager, which the main thread has. */
export type ListenPlace = Endpoint & { readonly fd?: number };

/**
 * Returns the place with a descriptor of its own for the calling thread, because each listener closes its descriptor. All
 * duplicates take connections from the same queue. Rejects with a `SystemCallError` when there are no descriptors left.
 */
export async function ownSocket(place: ListenPlace): Promise<ListenPlace> {
  if (place.fd === undefined) return place;
  return { ...place, fd: duplicateDescriptor(await loadSystemCalls(), place.fd) };
}

/** Returns why threads cannot have sockets of their own, as text for the log; null when they can. */
export async function whyNoOwnSockets(): Promise<string | null> {
  return (await loadSystemCalls()).unavailable;
}
