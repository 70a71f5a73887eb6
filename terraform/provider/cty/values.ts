import { decode, encode, ExtData, type ExtensionCodecType } from "@msgpack/msgpack";
import { AtollError } from "#federation/runtime/errors.ts";
import type { DynamicValue } from "../protocol/messages.ts";

/** A value that is known only after an apply. One object, so that it is compared by identity and never taken for a map. */
class Unknown {
  toJSON(): string {
    return "(known after apply)";
  }
}
export const unknown: Unknown = new Unknown();

/** A value of Terraform's type system. Objects and maps are records; sets are lists. */
export type CtyValue = null | string | number | boolean | Unknown | readonly CtyValue[] | { readonly [name: string]: CtyValue };
export type CtyObject = { readonly [name: string]: CtyValue };

/** Every extension stands for an unknown value, refined or not; one without refinements is written. @see https://github.com/zclconf/go-cty/blob/main/docs/refinements.md */
const extensionCodec: ExtensionCodecType<undefined> = {
  tryToEncode: (value) => (value === unknown ? new ExtData(0, Uint8Array.of(0)) : null),
  decode: () => unknown,
};

/** Reads what Terraform sends; absent is null. @throws {ATOLL_REQUEST_INVALID} for bytes that are no value. */
export function readDynamic(value: DynamicValue | null | undefined): CtyValue {
  try {
    if (value?.msgpack !== undefined && value.msgpack.length > 0) return decode(value.msgpack, { extensionCodec }) as CtyValue;
    if (value?.json !== undefined && value.json.length > 0) return JSON.parse(Buffer.from(value.json).toString("utf8")) as CtyValue;
    return null;
  } catch (cause) {
    throw new AtollError("ATOLL_REQUEST_INVALID", "a value of Terraform's cannot be read", { cause });
  }
}

/** Writes a value as Terraform reads it. */
export function writeDynamic(value: CtyValue): DynamicValue {
  return { msgpack: encode(exactly(value), { extensionCodec }) };
}

/** Fractions as decimal text: as binary ones they would differ from what the user wrote, whose numbers Terraform keeps exactly. */
function exactly(value: CtyValue): CtyValue {
  if (typeof value === "number") return Number.isInteger(value) ? value : String(value);
  if (Array.isArray(value)) return value.map(exactly);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, exactly(item)])) : value;
}

/** A known text, or undefined: null, unknown, or anything else. */
export function textOf(value: CtyValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A text that the schema requires, where everything is known. */
export function requiredText(value: CtyObject, name: string): string {
  const text = textOf(value[name]);
  if (text === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `${name}: found no text`);
  return text;
}

export function isObject(value: CtyValue | undefined): value is CtyObject {
  return typeof value === "object" && value !== null && value !== unknown && !Array.isArray(value);
}

/** True when nothing in `value` waits for an apply. */
export function isWhollyKnown(value: CtyValue): boolean {
  if (value === unknown) return false;
  if (Array.isArray(value)) return value.every(isWhollyKnown);
  return isObject(value) ? Object.values(value).every(isWhollyKnown) : true;
}
