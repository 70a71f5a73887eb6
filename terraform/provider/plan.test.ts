import { describe, expect, it } from "vitest";
import { unknown } from "./cty/values.ts";
import { kindResource } from "./resources/kind-resource.ts";
import { kindRows, type KindRow } from "./resources/kinds.ts";
import { planChange } from "./plan.ts";

const cluster = kindResource(kindRows.find(({ kind }) => kind === "Cluster") as KindRow);
const present = { name: "c", region: "eu", trust_domain: "a.example", export_namespaces: ["web"], gateways: null, plane_address: null, labels: null, id: "c", generation: 4 };

describe("planChange", () => {
  it("keeps what is there when nothing that a user writes differs", () => {
    expect(planChange(cluster, present, present)).toEqual({ planned: present, requiresReplace: [] });
  });

  it("leaves to the server what it fills in a new resource", () => {
    const { planned } = planChange(cluster, null, { ...present, id: null, generation: null });
    expect(planned).toEqual({ ...present, id: unknown, generation: unknown });
  });

  it("knows what stays in a changed one", () => {
    const { planned, requiresReplace } = planChange(cluster, present, { ...present, export_namespaces: ["web", "core"] });
    expect(planned).toEqual({ ...present, export_namespaces: ["web", "core"], generation: unknown });
    expect(requiresReplace).toEqual([]);
  });

  it("asks for another resource where the API changes nothing in place, also when the value is to come", () => {
    for (const region of ["us", unknown]) {
      const { planned, requiresReplace } = planChange(cluster, present, { ...present, region });
      expect(requiresReplace).toEqual([{ steps: [{ attribute_name: "region" }] }]);
      expect(planned).toMatchObject({ id: unknown, generation: unknown });
    }
  });

  it("plans nothing of what is destroyed", () => {
    expect(planChange(cluster, present, null)).toEqual({ planned: null, requiresReplace: [] });
  });
});
