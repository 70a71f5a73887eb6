import { encode, ExtData } from "@msgpack/msgpack";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AtollError } from "#federation/runtime/errors.ts";
import { isWhollyKnown, readDynamic, unknown, writeDynamic, type CtyValue } from "./values.ts";

const { value: values } = fc.letrec<{ value: CtyValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.constant(unknown),
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string().filter((key) => key !== "__proto__"), tie("value"), { maxKeys: 4 }),
  ),
}));

describe("values of Terraform's types", () => {
  it("are the same after writing and reading, unknown ones among them", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(readDynamic(writeDynamic(value))).toEqual(value);
      }),
    );
  });

  it("carry fractions as the decimals that a user wrote", () => {
    expect(readDynamic(writeDynamic({ ratio: 0.1, count: 3 }))).toEqual({ ratio: "0.1", count: 3 });
  });

  it("are unknown by whatever extension Terraform says so, refined or not", () => {
    for (const type of [0, 12, 77]) expect(readDynamic({ msgpack: encode({ a: new ExtData(type, new Uint8Array(3)) }) })).toEqual({ a: unknown });
    expect(isWhollyKnown({ a: [1, { b: unknown }] })).toBe(false);
    expect(isWhollyKnown({ a: [1, { b: null }] })).toBe(true);
  });

  it("come as JSON too, and are null when they are absent", () => {
    expect(readDynamic({ json: Buffer.from('{"a":[1]}') })).toEqual({ a: [1] });
    for (const absent of [undefined, null, {}, { msgpack: new Uint8Array() }]) expect(readDynamic(absent)).toBeNull();
  });

  it("are refused by one error, whatever bytes come", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (msgpack) => {
        try {
          readDynamic({ msgpack });
        } catch (error) {
          expect(error).toBeInstanceOf(AtollError);
        }
      }),
    );
  });
});
