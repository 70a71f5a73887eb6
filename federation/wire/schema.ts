import { readFileSync } from "node:fs";
import protobuf from "protobufjs";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { installedFile } from "#federation/runtime/installation.ts";
import { textLengthMax } from "./limits.ts";

/** The names of the .proto files of this folder that hold messages of Atoll's own. */
const protoFiles = ["discovery.proto", "frame.proto", "signer.proto", "workload.proto"] as const;

const root = new protobuf.Root();
for (const file of protoFiles) protobuf.parse(readFileSync(installedFile(`federation/wire/proto/${file}`), "utf8"), root);
root.resolveAll();

/** The plain fields of a decoded message: the schema's types, absent messages as null, absent scalars as their zero. */
export type Fields = Readonly<Record<string, unknown>>;

/** One message of a schema, turned into bytes and back within a bound. */
export interface MessageCodec<Raw> {
  readonly name: string;
  readonly encode: (fields: Raw) => Uint8Array;
  /** Unknown fields are skipped. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
  readonly decode: (bytes: Uint8Array) => Raw;
}

/**
 * The codec of the message `name` of Atoll's own schema. `Raw` is what protobufjs yields for it: every field present,
 * 64-bit numbers as numbers, bytes as views of the input.
 */
export function messageCodec<Raw extends object>(name: string, bytesMax: number, from: protobuf.Root = root): MessageCodec<Raw> {
  const type = from.lookupType(name);
  return {
    name,
    encode: (fields) => type.encode(fields).finish(),
    decode(bytes) {
      if (bytes.length > bytesMax) {
        throw new AtollError("ATOLL_WIRE_TOO_LARGE", `${type.name} of ${bytes.length} bytes, at most ${bytesMax} are read`);
      }
      try {
        // protobufjs yields exactly the schema's types, so the cast states what has been checked.
        return type.toObject(type.decode(bytes), { longs: Number, arrays: true, objects: true, defaults: true }) as Raw;
      } catch (error) {
        throw new AtollError("ATOLL_WIRE_INVALID", `not a ${type.name} message`, { cause: error });
      }
    },
  };
}

/** Runs `map` over decoded fields; what a parser of the model refuses becomes a fault of the message `name`. @throws {ATOLL_WIRE_INVALID} */
export function mapped<Raw, Result>(name: string, raw: Raw, map: (raw: Raw) => Result): Result {
  try {
    return map(raw);
  } catch (error) {
    if (isAtollError(error, "ATOLL_WIRE_INVALID", "ATOLL_WIRE_TOO_LARGE", "ATOLL_WIRE_VERSION")) throw error;
    if (!isAtollError(error)) throw error;
    throw new AtollError("ATOLL_WIRE_INVALID", `${name} holds a value that is not allowed`, { cause: error });
  }
}

/** `list` when it has at most `max` items. @throws {ATOLL_WIRE_TOO_LARGE} */
export function boundedList<T>(list: readonly T[], max: number, what: string): readonly T[] {
  if (list.length > max) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `${list.length} ${what}, at most ${max} are read`);
  return list;
}

/** `text` when it is short enough and not empty. @throws {ATOLL_WIRE_INVALID} */
export function boundedText(text: string, what: string): string {
  if (text === "" || text.length > textLengthMax) {
    throw new AtollError("ATOLL_WIRE_INVALID", `${what} is empty or longer than ${textLengthMax} characters`);
  }
  return text;
}

/** A nested message that must be there. @throws {ATOLL_WIRE_INVALID} */
export function required<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new AtollError("ATOLL_WIRE_INVALID", `${what} is missing`);
  return value;
}

/** A 64-bit count that JavaScript holds exactly. @throws {ATOLL_WIRE_INVALID} */
export function exactNumber(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new AtollError("ATOLL_WIRE_INVALID", `${what} is out of range`);
  return value;
}

/** A TCP port. @throws {ATOLL_WIRE_INVALID} */
export function portNumber(value: number, what: string): number {
  if (value < 1 || value > 65_535) throw new AtollError("ATOLL_WIRE_INVALID", `${what} is not a port: ${value}`);
  return value;
}

/** A copy, so that a small field does not keep the whole message in memory. */
export function copied(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Chains and bundles: not empty members, few of them, copies unless told. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function certificateList(list: readonly Uint8Array[], max: number, what: string, kept: (bytes: Uint8Array) => Uint8Array = copied): readonly Uint8Array[] {
  return boundedList(list, max, what).map((der) => {
    if (der.length === 0) throw new AtollError("ATOLL_WIRE_INVALID", `an empty certificate among the ${what}`);
    return kept(der);
  });
}
