import type { z } from "zod";
import { faultsOf } from "#federation/model/parse/fault.ts";
import { resourceInvalid } from "#federation/model/parse/parse-resource.ts";
import type { Codec } from "./store-collection.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A value as the JSON bytes that the store keeps. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** The value of JSON bytes; throws what the platform throws on anything else. */
export function jsonValue(bytes: Uint8Array): unknown {
  return JSON.parse(utf8.decode(bytes)) as unknown;
}

/** A codec of records as JSON, checked by `schema` when read. Fields that the schema does not know are left out: a later version wrote them. */
export function jsonCodec<T>(what: string, schema: z.ZodType<T>): Codec<T> {
  return {
    encode: (value) => jsonBytes(value),
    decode(bytes) {
      const input = jsonValue(bytes);
      const result = schema.safeParse(input);
      if (result.success) return result.data;
      throw resourceInvalid(what, faultsOf(result.error, input));
    },
  };
}
