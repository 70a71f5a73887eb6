import { expect, it } from "vitest";
import { SeenOrder } from "./seen-order.ts";

const see = (order: SeenOrder, version: number, mayBeWithdrawn = false): string | undefined => order.see({ plane: "shop-us", register: "policy/p0", version, mayBeWithdrawn });

it("what is shown later is later, and what was let go does not come back", () => {
  const order = new SeenOrder();
  expect([1, 1, 3, 0, 0, 4].map((version) => see(order, version))).toEqual(Array(6).fill(undefined));
  expect(see(order, 3)).toBe("as 3 after 4");
  expect(see(order, 0)).toBeUndefined();
  expect(see(order, 4)).toBe("as 4 again, which it had let go");
  expect(see(order, 0)).toBeUndefined();
  expect(see(order, 4, true)).toBeUndefined();
  order.forget("global", () => false);
  expect(see(order, 1)).toBe("as 1 after 4");
  order.forget("global", (register) => register.startsWith("policy/"));
  expect(see(order, 1)).toBeUndefined();
});
