import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostForm, isHost } from "./dns/host-name.ts";
import { AtollError, describeError } from "./errors.ts";

/** One thing wrong with a configuration: where (`ports.outbound`), and what was expected. */
export interface ConfigFault {
  readonly path: string;
  readonly message: string;
}

/** What a field reader gives back when it has reported a fault instead of a value. */
export const invalidField: unique symbol = Symbol("invalid config field");

/**
 * Reads one JSON value, or reports what is wrong with it. Fields are composed into one that reads a whole file;
 * every fault of the file is collected before any is thrown. `whenAbsent` makes the key optional.
 */
export interface Field<T> {
  /** `value` is undefined only when the key is absent. */
  read(value: unknown, path: string, faults: ConfigFault[]): T | typeof invalidField;
  /** What stands for an absent key; without it an absent key is a fault. */
  readonly whenAbsent?: () => T;
}

/** A field whose key may be left out, and is then left out of the result too. */
export interface OptionalField<T> extends Field<T> {
  readonly isOptional: true;
}

type AnyField = Field<unknown> | OptionalField<unknown>;
type ValueOf<F> = F extends Field<infer T> ? T : never;
type OptionalKeys<S> = { [K in keyof S]: S[K] extends { readonly isOptional: true } ? K : never }[keyof S];

/** The type that `objectField(shape)` reads: optional fields become optional properties. */
export type ConfigOf<S> = { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: ValueOf<S[K]> } & {
  readonly [K in OptionalKeys<S>]?: ValueOf<S[K]>;
};

/** A file larger than this is not a configuration. */
const configBytesMax = 1024 * 1024;

/**
 * Reads and checks the JSON file at `path`, frozen all the way down.
 * @throws {ATOLL_CONFIG_INVALID} with every fault of the file, one per line.
 */
export function readConfigFile<T>(path: string, field: Field<T>): T {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `the configuration ${path} cannot be read: ${describeError(error)}`, { cause: error });
  }
  return readConfig(text, path, field);
}

/**
 * Checks the JSON `text`; `name` says in messages where it came from. The result is frozen all the way down.
 * @throws {ATOLL_CONFIG_INVALID} with every fault, one per line.
 */
export function readConfig<T>(text: string, name: string, field: Field<T>): T {
  if (text.length > configBytesMax) throw new AtollError("ATOLL_CONFIG_INVALID", `${name}: larger than ${configBytesMax} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `${name}: not JSON: ${describeError(error)}`, { cause: error });
  }
  const faults: ConfigFault[] = [];
  const value = field.read(parsed, "", faults);
  if (faults.length > 0 || value === invalidField) {
    const lines = faults.map((fault) => `  ${fault.path === "" ? "(top level)" : fault.path}: ${fault.message}`);
    throw new AtollError("ATOLL_CONFIG_INVALID", `${name}: ${faults.length} fault${faults.length === 1 ? "" : "s"}\n${lines.join("\n")}`, {
      details: { faults: faults.length },
    });
  }
  return deepFreeze(value);
}

/** An object with exactly these keys; an unknown key is a fault, so that a misspelt one is not silently ignored. */
export function objectField<S extends Readonly<Record<string, AnyField>>>(shape: S): Field<ConfigOf<S>> {
  return {
    read(value, path, faults) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return fault(faults, path, "expected an object");
      const source = value as Readonly<Record<string, unknown>>;
      const before = faults.length;
      for (const key of Object.keys(source)) {
        if (!Object.hasOwn(shape, key)) fault(faults, join(path, key), `unknown field; known are ${Object.keys(shape).join(", ")}`);
      }
      const result: Record<string, unknown> = {};
      for (const [key, field] of Object.entries(shape)) readKey(source, key, field, path, result, faults);
      return faults.length > before ? invalidField : (result as ConfigOf<S>);
    },
  };
}

function readKey(
  source: Readonly<Record<string, unknown>>,
  key: string,
  field: AnyField,
  path: string,
  result: Record<string, unknown>,
  faults: ConfigFault[],
): void {
  if (Object.hasOwn(source, key)) {
    result[key] = field.read(source[key], join(path, key), faults);
  } else if (field.whenAbsent !== undefined) {
    result[key] = field.whenAbsent();
  } else if (!("isOptional" in field)) {
    fault(faults, join(path, key), "required, but missing");
  }
}

/** One of several objects, told apart by the string at `tag`: `variantField("kind", { sqlite: {}, etcd: { endpoints } })`. */
export function variantField<Tag extends string, V extends Readonly<Record<string, Readonly<Record<string, AnyField>>>>>(
  tag: Tag,
  variants: V,
): Field<{ [K in keyof V]: { readonly [T in Tag]: K } & ConfigOf<V[K]> }[keyof V]> {
  const names = Object.keys(variants);
  return {
    read(value, path, faults) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return fault(faults, path, "expected an object");
      const { [tag]: name, ...rest } = value as Readonly<Record<string, unknown>>;
      const shape = typeof name === "string" && Object.hasOwn(variants, name) ? variants[name] : undefined;
      if (shape === undefined) return fault(faults, join(path, tag), `expected one of ${names.join(", ")}`);
      const read = objectField(shape).read(rest, path, faults);
      return read === invalidField ? invalidField : ({ [tag]: name, ...read } as never);
    },
  };
}

/** A list of at most `max` items (256 unless told; a limit on everything). */
export function listField<T>(item: Field<T>, limits: { readonly min?: number; readonly max?: number } = {}): Field<readonly T[]> {
  const { min = 0, max = 256 } = limits;
  return {
    read(value, path, faults) {
      if (!Array.isArray(value)) return fault(faults, path, "expected a list");
      if (value.length < min || value.length > max) return fault(faults, path, `expected ${min} to ${max} items, found ${value.length}`);
      const items = value.map((entry, index) => item.read(entry, `${path}[${index}]`, faults));
      return items.includes(invalidField) ? invalidField : (items as readonly T[]);
    },
  };
}

/** An object whose keys are the user's own, with `min` to `max` of them and one kind of value. */
export function recordField<T>(item: Field<T>, limits: { readonly min?: number; readonly max: number }): Field<Readonly<Record<string, T>>> {
  const { min = 0, max } = limits;
  return {
    read(value, path, faults) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return fault(faults, path, "expected an object");
      const entries = Object.entries(value);
      if (entries.length < min || entries.length > max) return fault(faults, path, `expected ${min} to ${max} entries, found ${entries.length}`);
      const before = faults.length;
      // Entries are defined, not set: `__proto__` is a key like any other.
      const read = Object.fromEntries(entries.map(([key, entry]) => [key, item.read(entry, join(path, key), faults)]));
      return faults.length > before ? invalidField : (read as Readonly<Record<string, T>>);
    },
  };
}

/** A string of 1 to 4096 characters, or within the limits given; `pattern` with words for it in `expected`. */
export function stringField(
  limits: { readonly min?: number; readonly max?: number; readonly pattern?: RegExp; readonly expected?: string } = {},
): Field<string> {
  const { min = 1, max = 4096, pattern, expected } = limits;
  return {
    read(value, path, faults) {
      if (typeof value !== "string") return fault(faults, path, "expected a string");
      if (value.length < min || value.length > max) return fault(faults, path, `expected ${min} to ${max} characters`);
      if (pattern !== undefined && !pattern.test(value)) return fault(faults, path, `expected ${expected ?? `text matching ${pattern}`}`);
      return value;
    },
  };
}

/** Of a file or a directory. */
export const absolutePathField: Field<string> = stringField({ pattern: /^\//, expected: "an absolute path" });

/** One of a closed set of strings. */
export function choiceField<const T extends string>(choices: readonly T[]): Field<T> {
  return {
    read(value, path, faults) {
      const found = choices.find((choice) => choice === value);
      return found ?? fault(faults, path, `expected one of ${choices.join(", ")}`);
    },
  };
}

/** A whole number from `min` to `max`. */
export function integerField(limits: { readonly min: number; readonly max: number }): Field<number> {
  return {
    read(value, path, faults) {
      if (typeof value !== "number" || !Number.isInteger(value) || value < limits.min || value > limits.max) {
        return fault(faults, path, `expected a whole number from ${limits.min} to ${limits.max}`);
      }
      return value;
    },
  };
}

/** A listening port; 0 lets the system choose. */
export const portField: Field<number> = integerField({ min: 0, max: 65_535 });

export const booleanField: Field<boolean> = {
  read: (value, path, faults) => (typeof value === "boolean" ? value : fault(faults, path, "expected true or false")),
};

/** A literal IPv4 or IPv6 address, to listen on. */
export const addressField: Field<string> = {
  read: (value, path, faults) => (typeof value === "string" && isIP(value) !== 0 ? value : fault(faults, path, "expected a literal IP address")),
};

/** Where others dial: a literal IP address or a DNS name, which they resolve. */
export const hostField: Field<string> = {
  read: (value, path, faults) => (typeof value === "string" && isHost(value) ? value : fault(faults, path, `expected ${hostForm}`)),
};

/** Reads with `field`, then narrows with `parse`, whose thrown error's message becomes the fault. For branded names. */
export function parsedField<A, B>(field: Field<A>, parse: (value: A) => B): Field<B> {
  return {
    read(value, path, faults) {
      const first = field.read(value, path, faults);
      if (first === invalidField) return invalidField;
      try {
        return parse(first);
      } catch (error) {
        return fault(faults, path, describeError(error));
      }
    },
  };
}

/** The key may be left out. */
export function optionalField<T>(field: Field<T>): OptionalField<T> {
  return { read: (value, path, faults) => field.read(value, path, faults), isOptional: true };
}

/** The key may be left out, and then is `value`. */
export function defaultField<T>(field: Field<T>, value: T): Field<T> {
  return { read: (given, path, faults) => field.read(given, path, faults), whenAbsent: () => value };
}

function fault(faults: ConfigFault[], path: string, message: string): typeof invalidField {
  faults.push({ path, message });
  return invalidField;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
