import { z } from 'zod';
import { sectionMeta } from './schema/fields.ts';
import { configSchema } from './schema.ts';

/** Returns the JSON Schema of the configuration file, for editors. */
export function configJsonSchema(): z.core.JSONSchema.BaseSchema {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const meta = sectionMeta.get(zodSchema);
      if (meta === undefined) return;
      delete jsonSchema.default;
      if (meta.shorthand === undefined) return;
      const { type, properties, additionalProperties } = jsonSchema;
      const short = properties?.[meta.shorthand];
      jsonSchema.anyOf = [{ type, properties, additionalProperties } as typeof jsonSchema];
      if (typeof short === 'object') jsonSchema.anyOf.push(short);
      delete jsonSchema.type;
      delete jsonSchema.properties;
      delete jsonSchema.additionalProperties;
    },
  });
  return { ...schema, title: 'towpath configuration' };
}
