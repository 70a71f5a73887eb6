import { expect, it } from "vitest";
import { openMesh } from "./mesh.ts";

it.each([20, 200])("signs one object for a change of one service of %i, and writes as many keys as in any other mesh", async (services) => {
  await using mesh = await openMesh({ services, clusters: 3, proxies: 1 });
  await mesh.whole;
  await mesh.change(0, 8_001);
  const before = { signed: mesh.exporter.signed(), writes: mesh.stores.map(({ writes }) => writes), told: mesh.watched.proxies[0]?.told.current ?? 0 };
  await mesh.change(1, 8_002);
  expect(mesh.exporter.signed() - before.signed).toBe(1);
  expect((mesh.watched.proxies[0]?.told.current ?? 0) - before.told).toBe(1);
  // The Service and its object; at the others the object and the position. Once in a while a heartbeat is kept as well, with a position of its own.
  for (const [at, { writes }] of mesh.stores.entries()) expect(writes - (before.writes[at] ?? 0)).toBeLessThanOrEqual(4);
});
