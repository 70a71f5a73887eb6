import { expect, it } from "vitest";
import { clusterExportsMax, clusterObjectsMax } from "#federation/model/cluster-limits.ts";
import { apiVersion, type ServiceExport } from "#federation/model/resource.ts";
import { tombstonesMax } from "../exports/own-objects.ts";
import { exportAdmission } from "./export-admission.ts";

const { signal } = new AbortController();
const exported = (name: string): ServiceExport => ({ apiVersion, kind: "ServiceExport", metadata: { namespace: "web", name }, spec: {} });

it("refuses one export too many with what to do, and changes none that is there", async () => {
  const present = new Set(Array.from({ length: clusterExportsMax - 1 }, (_, index) => `web/s${index}`));
  const { apply } = exportAdmission(() => present);
  await apply?.(exported("last"), signal);
  present.add("web/last");
  await apply?.(exported("last"), signal);
  await expect(apply?.(exported("more"), signal)).rejects.toMatchObject({ code: "ATOLL_STORE_FULL", message: expect.stringContaining(`${clusterExportsMax} are allowed`) as string });
});

it("lets in no more than the global plane keeps of a cluster beside the deletions that are remembered", () => {
  expect(clusterExportsMax + tombstonesMax).toBeLessThan(clusterObjectsMax);
});
