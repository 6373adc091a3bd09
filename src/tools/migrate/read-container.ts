import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { errorMessage } from '../../base/errors.ts';
import { expand, type Container, type PublishedPort } from './container.ts';
import { usage } from './go-flags.ts';

/** The parts of the output of `docker inspect` that are used. */
const inspected = z.object({
  Name: z.string().default('container'),
  Config: z.object({
    Image: z.string().default(''),
    Env: z.array(z.string()).nullish(),
    Entrypoint: z.array(z.string()).nullish(),
    Cmd: z.array(z.string()).nullish(),
  }),
  HostConfig: z
    .object({
      NetworkMode: z.string().default(''),
      PortBindings: z.record(z.string(), z.array(z.object({ HostPort: z.string() })).nullish()).nullish(),
    })
    .default({ NetworkMode: '' }),
  Mounts: z.array(z.object({ Source: z.string().default(''), Destination: z.string() })).nullish(),
});

/** Reads the output of `docker inspect CONTAINER` or `podman inspect`. Throws `TOWPATH_USAGE` when it is something else. */
export function fromInspect(text: string): Container {
  const [first] = check(z.array(inspected).min(1), parseText(text, JSON.parse), 'the output of docker inspect');
  const { Name, Config, HostConfig, Mounts } = first!;
  return {
    name: Name.replace(/^\//, ''),
    env: fromPairs(Config.Env ?? []),
    command: [...(Config.Entrypoint ?? []), ...(Config.Cmd ?? [])],
    mounts: (Mounts ?? []).map(({ Source, Destination }) => ({ source: Source, target: Destination })),
    ports: Object.entries(HostConfig.PortBindings ?? {}).flatMap(([inside, bindings]) => {
      const [target, protocol = 'tcp'] = inside.split('/');
      return (bindings ?? []).map(({ HostPort }) => ({
        target: Number(target),
        published: Number(HostPort),
        protocol,
      }));
    }),
    isOnHost: HostConfig.NetworkMode === 'host',
    remarks: [],
  };
}

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const words = z.union([z.string(), z.array(z.string())]).optional();
const service = z.object({
  image: z.string().default(''),
  container_name: z.string().optional(),
  environment: z.union([z.array(z.string()), z.record(z.string(), scalar)]).default([]),
  env_file: z.unknown().optional(),
  entrypoint: words,
  command: words,
  network_mode: z.string().optional(),
  ports: z
    .array(
      z.union([
        z.string(),
        z.number(),
        z.object({
          target: z.number(),
          published: z.union([z.string(), z.number()]).optional(),
          protocol: z.string().default('tcp'),
        }),
      ]),
    )
    .default([]),
  volumes: z.array(z.union([z.string(), z.object({ source: z.string().default(''), target: z.string() })])).default([]),
});
type Service = z.infer<typeof service>;

/**
 * Reads a service of a compose file: the named one, or the only one with derper in the name of its image. `folder` is
 * the folder of the file; `env` has the values of its variables. Throws `TOWPATH_USAGE` when there is no such service.
 */
export function fromCompose(
  text: string,
  options: { folder: string; env: Readonly<Record<string, string | undefined>>; service?: string | undefined },
): Container {
  const file = check(z.object({ services: z.record(z.string(), service) }), parseText(text, parse), 'a compose file');
  const [name, found] = chooseService(file.services, options.service);
  const known = (word: string): string => expand(word, options.env);
  const environment = Array.isArray(found.environment)
    ? fromPairs(found.environment)
    : Object.fromEntries(Object.entries(found.environment).map(([key, value]) => [key, String(value ?? '')]));
  return {
    name: found.container_name ?? name,
    env: Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, known(value)])),
    command: [...wordsOf(found.entrypoint), ...wordsOf(found.command)].map((word) => word.replaceAll('$$', '$')),
    mounts: found.volumes.flatMap((volume) => mountOf(volume, options.folder, known)),
    ports: found.ports.flatMap((port) => portsOf(port, known)),
    isOnHost: found.network_mode === 'host',
    remarks:
      found.env_file === undefined
        ? []
        : ['env_file is not read: copy its variables to environment and run this again.'],
  };
}

function chooseService(services: Readonly<Record<string, Service>>, wanted: string | undefined): [string, Service] {
  const all = Object.entries(services);
  const names = all.map(([name]) => name).join(', ');
  if (wanted !== undefined) {
    const found = services[wanted];
    if (found === undefined) throw usage(`the compose file has no service ${wanted}; it has ${names}`);
    return [wanted, found];
  }
  const derpers = all.filter(([name, { image }]) => /derp/i.test(name) || /derp/i.test(image));
  const [first, second] = derpers.length > 0 ? derpers : all;
  if (first === undefined || second !== undefined) throw usage(`say which service it is, with --service: ${names}`);
  return first;
}

/** `[IP:][PUBLISHED:]TARGET[/PROTOCOL]`, or the long form. */
function portsOf(port: Service['ports'][number], known: (text: string) => string): PublishedPort[] {
  if (typeof port === 'object') {
    return [{ target: port.target, published: Number(port.published ?? port.target), protocol: port.protocol }];
  }
  const [numbers = '', protocol = 'tcp'] = known(String(port)).split('/');
  const parts = numbers.split(':');
  const target = Number(parts.at(-1));
  return [{ target, published: Number(parts.at(-2) ?? target), protocol }];
}

function mountOf(
  volume: Service['volumes'][number],
  folder: string,
  known: (text: string) => string,
): { source: string; target: string }[] {
  const [source = '', target] = typeof volume === 'string' ? known(volume).split(':') : [volume.source, volume.target];
  // Only docker inspect shows the path of a named volume.
  if (target === undefined || !/^[./~]/.test(source)) return [];
  return [{ source: path.resolve(folder, source), target }];
}

function wordsOf(command: string | readonly string[] | undefined): readonly string[] {
  if (typeof command === 'string') return command.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)?.map(unquoted) ?? [];
  return command ?? [];
}

function unquoted(word: string): string {
  return word.replaceAll(/["']/g, '');
}

function fromPairs(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function parseText(text: string, parser: (text: string) => unknown): unknown {
  try {
    return parser(text);
  } catch (error) {
    throw usage(`the file cannot be read: ${errorMessage(error)}`);
  }
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  throw usage(`this is not ${what}: ${at.join('.')}: ${message}`);
}
