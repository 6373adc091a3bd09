/** A container that runs derper, read from `docker inspect` or a compose file, and the configuration with the same meaning. */
import path from 'node:path';
import type { Draft } from './draft.ts';
import { convertDerper } from './convert.ts';
import { readDerperVariables } from './environment.ts';
import { usage } from './go-flags.ts';

/** A container that runs derper. */
export interface Container {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** Entry point and command, as words. */
  readonly command: readonly string[];
  readonly mounts: readonly { readonly source: string; readonly target: string }[];
  readonly ports: readonly PublishedPort[];
  /** The container has the network of the machine, so its ports are those of the machine. */
  readonly isOnHost: boolean;
  /** Sentences about settings that could not be read. */
  readonly remarks: readonly string[];
}

export interface PublishedPort {
  readonly target: number;
  readonly published: number;
  readonly protocol: string;
}

const OWN_KEY_FILE = '/var/lib/towpath/derper.key';
/** The configuration keys of listeners, and their protocols. */
const LISTENING = [
  ['listen', 'tcp'],
  ['http', 'tcp'],
  ['stun.listen', 'udp'],
] as const;
const FILES = ['keyFile', 'certificate.directory', 'certificate.file', 'certificate.keyFile'];

/**
 * The configuration of a relay on this machine, instead of the container. Throws `TOWPATH_USAGE` when it does not run
 * derper.
 */
export function convertContainer(container: Container): Draft {
  const { argv, refused } = flagsOf(container);
  const draft = convertDerper(argv);
  for (const [name, reason] of refused) draft.remark(`${name} has no equivalent: ${reason}.`);
  for (const remark of container.remarks) draft.remark(remark);
  for (const key of FILES) moveFile(draft, key, container);
  if (!container.isOnHost) for (const [key, protocol] of LISTENING) publish(draft, key, protocol, container);
  return draft;
}

function flagsOf(container: Container): { argv: readonly string[]; refused: ReadonlyMap<string, string> } {
  const words = commandWords(container);
  const at = words.findLastIndex((word) => path.posix.basename(word) === 'derper');
  const own = words.slice(at + 1);
  if (at >= 0 && own.length > 0) return { argv: own, refused: new Map() };
  const variables = readDerperVariables(container.env);
  if (variables !== null) return variables;
  throw usage(`${container.name}: neither its command nor its environment says how it runs derper`);
}

/** Returns the words of the command. The script of `sh -c` is split as a shell does with simple words and variables. */
function commandWords({ command, env }: Container): readonly string[] {
  const at = command.indexOf('-c');
  const script = at > 0 && /sh$/.test(command[at - 1]!) ? (command[at + 1] ?? '') : null;
  if (script === null) return command.map((word) => expand(word, env));
  const words = script.replaceAll(/\\\r?\n/g, ' ').match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => expand(word.replaceAll(/["']/g, ''), env));
}

/** `$NAME`, `${NAME}` and `${NAME:-initial}` with their values. */
export function expand(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(
    /\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})/g,
    (_all, bare: string | undefined, braced: string | undefined, initial: string | undefined) => {
      const value = env[bare ?? braced ?? ''] ?? '';
      return value === '' ? (initial ?? '') : value;
    },
  );
}

/** Replaces a path in the container by the path of the same file on this machine. */
function moveFile(draft: Draft, key: string, { mounts, name }: Container): void {
  const inside = valueAt(draft.values, key);
  if (typeof inside !== 'string') return;
  const mount = mounts
    .filter(({ target }) => inside === target || inside.startsWith(`${target.replace(/\/$/, '')}/`))
    .toSorted((a, b) => b.target.length - a.target.length)[0];
  if (mount !== undefined) {
    draft.set({ [key]: path.posix.join(mount.source, path.posix.relative(mount.target, inside)) });
    return;
  }
  if (key === 'keyFile') {
    draft.set({ keyFile: OWN_KEY_FILE });
    draft.remark(
      `The private key is in the container only. To stay the same relay: docker cp ${name}:${inside} ${OWN_KEY_FILE}`,
    );
  } else {
    draft.remark(
      `${key}: ${inside} is in the container only; copy it (docker cp ${name}:${inside} …) and change the path.`,
    );
  }
}

/** Replaces a port inside the container by the port that Docker published on this machine. */
function publish(draft: Draft, key: string, protocol: string, { ports }: Container): void {
  const address = valueAt(draft.values, key);
  const [, ip, port] = typeof address === 'string' ? (/^(.*):(\d+)$/.exec(address) ?? []) : [];
  if (ip === undefined) return;
  const published = ports.find((one) => one.target === Number(port) && one.protocol === protocol);
  if (published === undefined) {
    draft.remark(
      `${key}: port ${port!} was not published by the container, and is open now; turn it off if nobody needs it.`,
    );
  } else if (published.published !== Number(port)) {
    const other = `${ip}:${published.published}`;
    if (draft.set({ [key]: other }))
      draft.remark(`${key}: the container published port ${port!} as ${published.published}.`);
  }
}

function valueAt(tree: object, key: string): unknown {
  let place: unknown = tree;
  for (const name of key.split('.')) {
    if (typeof place !== 'object' || place === null) return undefined;
    place = (place as Record<string, unknown>)[name];
  }
  return place;
}
