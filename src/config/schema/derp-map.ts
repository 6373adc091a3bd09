import type { z } from 'zod';
import { key, optionalKey, section } from './fields.ts';
import { filePath, toggle } from './values.ts';

/** How the relay publishes its entry of the DERP map. */
export interface DerpMapConfig {
  readonly publish: {
    /** Undefined: off. */
    readonly pathFile?: string | undefined;
    readonly plainHttp: boolean;
  };
}

export const derpMap: z.ZodType<DerpMapConfig> = section('The DERP map that the relay hands out itself.', {
  publish: section(
    'A page with the DERP map of this relay as JSON, with the pins in use, for derp.urls of Headscale. Its path is `/derpmap/` and a secret.',
    {
      pathFile: optionalKey(
        filePath(),
        'File with the secret part of the path: 16 to 128 letters, digits, `-` or `_`. Without it, there is no such page.',
      ),
      plainHttp: key(
        toggle(),
        false,
        'Answer on the addresses of `http` too, without TLS. Only for a network that you trust: who can change the answer on its way can put another relay into the map.',
      ),
    },
    { flags: false },
  ),
});
