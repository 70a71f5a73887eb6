import { expect, it } from "vitest";
import { holdsToRoles } from "./etcd-version.ts";

it("an etcd holds its users to their roles from one release of each line on", () => {
  const held = ["3.4.44", "3.5.30", "3.5.31", "3.6.11", "3.7.0-rc.0", "4.0.0"];
  const leaky = ["3.4.23", "3.4.43", "3.5.21", "3.5.29", "3.6.10", "3.3.99", "2.9.9", "", "newest"];
  expect(held.filter((version) => !holdsToRoles(version))).toEqual([]);
  expect(leaky.filter(holdsToRoles)).toEqual([]);
});
