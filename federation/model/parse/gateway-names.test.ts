import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withNamesApart, withNamesTogether } from "./gateway-names.ts";

const listing = fc.record({ address: fc.oneof(fc.ipV4(), fc.constantFrom("gw.shop.example", "localhost")), port: fc.integer({ min: 1, max: 65_535 }) }, { noNullPrototype: true });

describe("names of gateways between planes", () => {
  it("stand beside the addresses, where planes of the version before do not look", () => {
    const value = { other: 1, gateways: [{ address: "gw.shop.example", port: 15_443 }, { address: "10.0.0.1", port: 15_443 }] };
    expect(withNamesApart(value)).toEqual({ other: 1, gateways: [{ address: "10.0.0.1", port: 15_443 }], gatewayNames: [{ address: "gw.shop.example", port: 15_443 }] });
  });

  it("change nothing where there are none", () => {
    const value = { gateways: [{ address: "fd00::1", port: 15_443 }] };
    expect(withNamesApart(value)).toBe(value);
    for (const input of [value, null, 7, "text", [], { gatewayNames: 1, gateways: [] }]) expect(withNamesTogether(input)).toBe(input);
  });

  it("come back with the addresses, none lost and none added", () => {
    fc.assert(
      fc.property(fc.array(listing), (gateways) => {
        const back = withNamesTogether(withNamesApart({ gateways })) as { readonly gateways: readonly unknown[] };
        const sorted = (list: readonly unknown[]): readonly string[] => list.map((entry) => JSON.stringify(entry)).toSorted();
        expect(sorted(back.gateways)).toEqual(sorted(gateways));
      }),
    );
  });
});
