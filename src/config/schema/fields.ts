import { z } from 'zod';
import type { Value } from './values.ts';

/** A default, written as it would be in a file. */
type Initial = string | number | boolean | readonly string[];

/** What the schema knows about one key in addition to its type. */
export interface KeyMeta {
  /** One sentence with the unit, for the documentation, the JSON Schema and `--help`. */
  readonly help: string;
  /** The allowed values; completes "allowed: …". */
  readonly allowed: string;
  /** How text from the environment or a flag is read. */
  readonly kind: Value<unknown>['kind'];
  /** Undefined when there is no default or it is computed. */
  readonly initial: Initial | undefined;
  /** Describes a computed default. */
  readonly computed: string | undefined;
  /** The flag's name without dashes where it differs from the path, or false for no flag. */
  readonly flag: string | false | undefined;
  /** True for the path of a file or directory. A relative path is made absolute. */
  readonly isPath: boolean;
  /** In a list of objects: the fields that are paths. */
  readonly pathFields: readonly string[];
  /** True when the value refers to a secret, such as `env:NAME`. Any other value of the key is masked. */
  readonly secret: boolean;
}

/** What the schema knows about one section. */
interface SectionMeta {
  readonly help: string;
  readonly shape: Readonly<Record<string, z.ZodType>>;
  /** The key that a bare value of the section sets, as in `stun: off`. */
  readonly shorthand: string | undefined;
  /** False: the keys of this section have no flags. */
  readonly flags: boolean;
}

/** The facts about every key and section, by its schema. */
export const keyMeta: WeakMap<z.core.$ZodType, KeyMeta> = new WeakMap();
export const sectionMeta: WeakMap<z.core.$ZodType, SectionMeta> = new WeakMap();

interface KeyOptions {
  /** The flag's name without dashes, or false for no flag; by default it is derived from the path. */
  readonly flag?: string | false;
  /** Describes how the default is computed. */
  readonly computed?: string;
  /** Masked wherever the configuration is shown. */
  readonly secret?: boolean;
}

/** Makes a key with a default, written as it would be in a file. */
export function key<T>(value: Value<T>, initial: Initial, help: string, options: KeyOptions = {}): z.ZodType<T> {
  return enter(value.schema.prefault(initial), value, initial, help, options);
}

/** Makes a key that may be missing. */
export function optionalKey<T>(value: Value<T>, help: string, options: KeyOptions = {}): z.ZodType<T | undefined> {
  return enter(value.schema.optional(), value, undefined, help, options);
}

function enter<S extends z.ZodType>(
  schema: S,
  value: Value<unknown>,
  initial: Initial | undefined,
  help: string,
  options: KeyOptions,
): S {
  const described = schema.describe(help);
  keyMeta.set(described, {
    help,
    initial,
    allowed: value.allowed,
    kind: value.kind,
    isPath: value.isPath ?? false,
    pathFields: value.pathFields ?? [],
    computed: options.computed,
    flag: options.flag,
    secret: options.secret ?? false,
  });
  return described;
}

type Shape = Readonly<Record<string, z.ZodType>>;
type ShapeOutput<S extends Shape> = { readonly [K in keyof S]: z.output<S[K]> };
/**
 * Refuses a combination of values: the wrong key, what is wrong in one sentence, and, for a section, which key of it.
 */
type Refuse<K> = (key: K, message: string, inner?: string) => void;

interface SectionOptions<S extends Shape, O> {
  /** Refuses impossible combinations; runs when every single key is valid. */
  readonly check?: (values: ShapeOutput<S>, refuse: Refuse<keyof S & string>) => void;
  /** Fills in computed values. */
  readonly complete: (values: ShapeOutput<S>) => O;
  readonly shorthand?: keyof S & string;
  readonly flags?: false;
}

/** Makes a group of keys. Its type follows from the keys, or from `complete`. */
export function section<S extends Shape, O>(help: string, shape: S, options: SectionOptions<S, O>): z.ZodType<O>;
export function section<S extends Shape>(
  help: string,
  shape: S,
  options?: Omit<SectionOptions<S, unknown>, 'complete'>,
): z.ZodType<ShapeOutput<S>>;
export function section(help: string, shape: Shape, options: Partial<SectionOptions<Shape, unknown>> = {}): z.ZodType {
  const { check, complete, shorthand, flags = true } = options;
  const object = z.strictObject(shape).superRefine((values, context) => {
    check?.(values, (name, message, inner) => {
      const path = inner === undefined ? [name] : [name, inner];
      context.addIssue({ code: 'custom', path, message, params: { combination: true } });
    });
  });
  const whole: z.ZodType = complete === undefined ? object : object.transform(complete);
  const described = whole.prefault({}).describe(help);
  sectionMeta.set(described, { help, shape, shorthand, flags });
  return described;
}
