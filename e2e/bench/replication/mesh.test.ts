import { expect, it } from "vitest";
import { openMesh } from "./mesh.ts";

it.each([20, 200])("signs one object for a change of one service of %i, and stores it once in each plane, as in any other mesh", async (services) => {
  await using mesh = await openMesh({ services, clusters: 3, proxies: 1 });
  await mesh.whole;
  await mesh.change(0, 8_001);
  const before = { signed: mesh.exporter.signed(), contents: mesh.stores.map(({ contents }) => contents), told: mesh.watched.proxies[0]?.told.current ?? 0 };
  await mesh.change(1, 8_002);
  expect(mesh.exporter.signed() - before.signed).toBe(1);
  expect((mesh.watched.proxies[0]?.told.current ?? 0) - before.told).toBe(1);
  // The Service, the form that it had before, and its object; at the others the object.
  expect(mesh.stores.map(({ contents }, at) => contents - (before.contents[at] ?? 0))).toEqual([3, 1, 1]);
});
