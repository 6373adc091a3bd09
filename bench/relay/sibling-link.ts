import type { RoundContext, Sample } from './case.ts';
import { makeMeshKey } from './mesh-key.ts';
import { checkoutOf, Server } from './server.ts';
import { Sibling } from './sibling.ts';

/** Runs `measure` with a server of the same kind that links to another relay; that relay does not listen yet. */
export async function withSibling(
  { name }: Server,
  { files, options }: RoundContext,
  loopDelay: boolean,
  measure: (member: Server, sibling: Sibling) => Promise<Sample>,
): Promise<Sample> {
  const { key, keyFile } = makeMeshKey(files.dir);
  const sibling = await Sibling.start(files, key);
  try {
    const mesh = { keyFile, with: `127.0.0.1:${sibling.port}` };
    const member = await Server.start(name, files, {
      ...{ pinned: true, loopDelay, mesh },
      ...checkoutOf(name, options.before),
    });
    try {
      return await measure(member, sibling);
    } finally {
      await member.stop();
    }
  } finally {
    sibling.stop();
  }
}
