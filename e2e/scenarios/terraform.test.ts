import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProvider } from "../../terraform/build-provider.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { eventually } from "../harness/eventually.ts";
import { InProcessPlanes } from "../harness/in-process-planes.ts";
import { findTerraform, TerraformRun } from "../harness/terraform.ts";
import { TestProxy } from "../harness/test-proxy.ts";

const program = findTerraform();
const { signal } = new AbortController();

const head = `terraform {
  required_providers {
    atoll = {
      source = "atoll/atoll"
    }
  }
}
`;

/** Two teams in two regions; each has a cluster whose plane is its signer. */
const places = `
resource "atoll_region" "all" {
  for_each     = { "eu-west" = "Europe", "us-east" = "America" }
  name         = each.key
  display_name = each.value
  labels       = { "team" = "platform" }
}

resource "atoll_cluster" "shop" {
  name              = "shop-eu"
  region            = atoll_region.all["eu-west"].name
  trust_domain      = "shop.example"
  export_namespaces = ["web"]
  gateways          = [{ address = "127.0.0.1", port = 15443 }, { address = "127.0.0.2", port = 15443, regions = [atoll_region.all["us-east"].name] }]
}

resource "atoll_cluster" "pay" {
  name              = "pay-eu"
  region            = atoll_region.all["eu-west"].name
  trust_domain      = "pay.example"
  export_namespaces = ["core"]
}
`;

/** Everything that runs in them. */
const content = `
data "atoll_trust_bundle" "shop" {
  name = "shop.example"
}

data "atoll_trust_bundle" "pay" {
  name = "pay.example"
}

resource "atoll_relationship" "checkout" {
  name        = "checkout"
  valid_until = "2099-01-01T00:00:00Z"
  caller = {
    trust_domain     = "shop.example"
    authority_sha256 = data.atoll_trust_bundle.shop.authority_sha256
    principals       = ["ns/web/sa/storefront"]
  }
  callee = {
    trust_domain     = "pay.example"
    authority_sha256 = data.atoll_trust_bundle.pay.authority_sha256
    services         = ["core/payments"]
  }
}

resource "atoll_relationship_approval" "sides" {
  for_each     = toset(["shop.example", "pay.example"])
  relationship = atoll_relationship.checkout.name
  generation   = atoll_relationship.checkout.generation
  trust_domain = each.key
}

resource "atoll_service" "payments" {
  cluster          = "pay-eu"
  namespace        = "core"
  name             = "payments"
  ports            = [{ name = "http", port = 80, protocol = "http" }]
  service_accounts = ["payments"]
}

resource "atoll_service_export" "payments" {
  cluster   = atoll_service.payments.cluster
  namespace = atoll_service.payments.namespace
  name      = atoll_service.payments.name
  consumers = [{ trust_domain = "pay.example" }, { trust_domain = "shop.example" }]
}

variable "request_ms" {
  default = 2000
}

resource "atoll_traffic_policy" "payments" {
  namespace  = "core"
  name       = "payments"
  target_ref = { namespace = "core", name = "payments", trust_domain = "pay.example" }
  locality   = { mode = "weights", weights = [{ region = "eu-west", weight = 3 }, { region = "us-east", weight = 0.5 }] }
  timeouts   = { request_ms = var.request_ms }
  retries    = { retries_max = 1, budget_ratio = 0.1, statuses = [502, 503] }
}
`;

describe.skipIf(program === undefined)("Terraform and the provider's bundle", () => {
  let planes: InProcessPlanes;
  let context: string;
  const mirror = mkdtempSync(join(tmpdir(), "atoll-mirror-"));
  const open = (): TerraformRun => new TerraformRun(program ?? "", mirror, { ATOLL_CONTEXT: context });
  let main: TerraformRun;

  beforeAll(async () => {
    await buildProvider(mirror);
    planes = await InProcessPlanes.create();
    await planes.startGlobal();
    context = planes.writePlaneFile([], {});
    main = open();
    main.write("main.tf", head);
    await main.init();
  });

  afterAll(async () => {
    main[Symbol.dispose]();
    await planes[Symbol.asyncDispose]();
    rmSync(mirror, { recursive: true });
  });

  it("applies places, then what runs in them, and plans nothing afterwards", async () => {
    main.write("places.tf", places);
    await main.apply();
    expect(await main.plannedChanges()).toEqual([]);
    await planes.startCluster("shop-eu", { signer: "shop.example" as TrustDomainName });
    await planes.startCluster("pay-eu", { signer: "pay.example" as TrustDomainName });
    planes.writePlaneFile(["shop-eu", "pay-eu"], { "shop.example": "shop-eu", "pay.example": "pay-eu" });
    main.write("content.tf", content);
    await main.apply();
    expect(await main.plannedChanges()).toEqual([]);
    using admin = planes.admin();
    const relationship = await admin.get("Relationship", { name: "checkout" }, signal);
    expect(relationship.status?.approvals?.map(({ side }) => side)).toEqual(["callee", "caller"]);
  });

  it("finds drift and puts it right: what was changed, and what was taken away", async () => {
    using admin = planes.admin();
    using pay = planes.admin("pay-eu");
    const policy = await admin.get("TrafficPolicy", { namespace: "core", name: "payments" }, signal);
    await admin.apply({ ...policy, spec: { ...policy.spec, timeouts: { requestMs: 9 } } }, {}, signal);
    await pay.remove("ServiceExport", { namespace: "core", name: "payments" }, {}, signal);
    expect(await main.plannedChanges()).toEqual(["atoll_service_export.payments: create", "atoll_traffic_policy.payments: update"]);
    await main.apply();
    expect((await admin.get("TrafficPolicy", { namespace: "core", name: "payments" }, signal)).spec.timeouts).toEqual({ requestMs: 2_000 });
    expect(await main.plannedChanges()).toEqual([]);
  });

  it("changes in place what the API changes in place, approves a changed relationship anew, and replaces the rest", async () => {
    main.write("content.tf", content.replace('principals       = ["ns/web/sa/storefront"]', 'principals       = ["*"]'));
    expect(await main.plannedChanges()).toEqual(["atoll_relationship.checkout: update", 'atoll_relationship_approval.sides["pay.example"]: update', 'atoll_relationship_approval.sides["shop.example"]: update']);
    await main.apply();
    using admin = planes.admin();
    expect((await admin.get("Relationship", { name: "checkout" }, signal)).spec.caller.principals).toEqual(["*"]);
    expect(await main.plannedChanges()).toEqual([]);
    main.write("extra.tf", 'resource "atoll_region" "moving" {\n  name = "one"\n}\n');
    await main.apply();
    main.write("extra.tf", 'resource "atoll_region" "moving" {\n  name = "two"\n}\n');
    expect(await main.plannedChanges()).toEqual(["atoll_region.moving: delete+create"]);
    await main.apply();
    expect((await admin.list("Region", {}, signal)).map(({ metadata }) => metadata.name)).toEqual(["eu-west", "two", "us-east"]);
    main.write("extra.tf", "");
    await main.apply();
  });

  it("imports what is there, by the ids that it shows", async () => {
    using other = open();
    other.write("main.tf", `${head}${places}${content}`);
    await other.init();
    for (const [address, id] of [
      ['atoll_region.all["eu-west"]', "eu-west"],
      ["atoll_cluster.shop", "shop-eu"],
      ["atoll_relationship.checkout", "checkout"],
      ['atoll_relationship_approval.sides["pay.example"]', "checkout/pay.example"],
      ["atoll_service.payments", "pay-eu/core/payments"],
      ["atoll_service_export.payments", "pay-eu/core/payments"],
      ["atoll_traffic_policy.payments", "core/payments"],
    ] as const) {
      await other.mustRun("import", "-input=false", "-no-color", address, id);
    }
    // Left: what was not imported, and the approval's generation, which only a configuration says.
    expect(await other.plannedChanges()).toEqual([
      "atoll_cluster.pay: create",
      'atoll_region.all["us-east"]: create',
      "atoll_relationship.checkout: update",
      'atoll_relationship_approval.sides["pay.example"]: update',
      'atoll_relationship_approval.sides["shop.example"]: create',
    ]);
    const wrong = await other.run("import", "-input=false", "-no-color", "atoll_cluster.pay", "a/b/c");
    expect(wrong.out).toMatch(/Found "a\/b\/c", expected name/);
  });

  it("anchors each fault of a configuration at its attribute, and says one thing of it", async () => {
    using broken = open();
    broken.write(
      "main.tf",
      `${head}
resource "atoll_traffic_policy" "p" {
  namespace  = "core"
  name       = "Payments"
  target_ref = { namespace = "core", name = "payments" }
  locality   = { mode = "nearby" }
  timeouts   = { request_ms = 0 }
}

resource "atoll_cluster" "c" {
  name              = "c"
  region            = "eu-west"
  trust_domain      = "shop.example"
  export_namespaces = []
  gateways          = [{ address = "127.0.0.1", port = 99999 }]
}
`,
    );
    await broken.init();
    const { diagnostics } = await broken.run("validate", "-json");
    const errors = diagnostics.filter(({ severity }) => severity === "error");
    expect(errors.map(({ where }) => where).toSorted()).toEqual([
      'gateways          = [{ address = "127.0.0.1", port = 99999 }]',
      'locality   = { mode = "nearby" }',
      'name       = "Payments"',
      "timeouts   = { request_ms = 0 }",
    ]);
    expect(errors.find(({ where }) => where.startsWith("timeouts"))?.detail).toMatch(/^request_ms: found 0, expected/);
    expect(errors.find(({ where }) => where.startsWith("gateways"))?.detail).toMatch(/^\[0\]\.port: found 99999, expected/);
  });

  it("says once, and where, why a plane cannot be used or what it refuses, and leaves no half-written state", async () => {
    using other = open();
    other.write("main.tf", `${head}provider "atoll" {\n  context = "/nowhere/context.json"\n}\nresource "atoll_region" "r" {\n  name = "r"\n}\n`);
    await other.init();
    const noContext = (await other.run("plan", "-json", "-input=false")).diagnostics;
    expect(noContext).toMatchObject([{ severity: "error", where: 'context = "/nowhere/context.json"' }]);
    other.write("main.tf", `${head}resource "atoll_cluster" "c" {\n  name = "c"\n  region = "atlantis"\n  trust_domain = "shop.example"\n  export_namespaces = []\n}\n`);
    const refused = (await other.run("apply", "-json", "-auto-approve", "-input=false")).diagnostics;
    expect(refused).toMatchObject([{ severity: "error", where: 'region = "atlantis"', detail: expect.stringContaining("there is no Region atlantis") as string }]);
    expect((await other.mustRun("state", "list")).out).toBe("");
    other.write("main.tf", `${head}resource "atoll_service" "s" {\n  cluster = "nobody"\n  namespace = "a"\n  name = "b"\n  ports = [{ name = "http", port = 80, protocol = "http" }]\n  service_accounts = ["b"]\n}\n`);
    const unknownCluster = (await other.run("apply", "-json", "-auto-approve", "-input=false")).diagnostics;
    expect(unknownCluster).toMatchObject([{ severity: "error", detail: expect.stringContaining("does not say where the plane of nobody is") as string }]);
  });

  it("refuses to take over what another has made, and adopts what an interrupted apply of its own has", async () => {
    using admin = planes.admin();
    using other = open();
    other.write("main.tf", `${head}resource "atoll_region" "r" {\n  name = "half-made"\n  display_name = "Ours"\n}\n`);
    await other.init();
    await admin.apply({ apiVersion: "atoll.dev/v1alpha1", kind: "Region", metadata: { name: "half-made" }, spec: { displayName: "Theirs" } }, {}, signal);
    const refused = (await other.run("apply", "-json", "-auto-approve", "-input=false")).diagnostics;
    expect(refused).toMatchObject([{ detail: expect.stringContaining("import it") as string }]);
    await admin.apply({ apiVersion: "atoll.dev/v1alpha1", kind: "Region", metadata: { name: "half-made" }, spec: { displayName: "Ours" } }, {}, signal);
    await other.apply();
    expect(await other.plannedChanges()).toEqual([]);
    await other.mustRun("destroy", "-auto-approve", "-input=false", "-no-color");
  });

  it("keeps two applies apart: the later one hears that what it planned over has changed", async () => {
    using admin = planes.admin();
    await main.mustRun("plan", "-input=false", "-no-color", "-var=request_ms=3000", "-out=slow.bin");
    const policy = await admin.get("TrafficPolicy", { namespace: "core", name: "payments" }, signal);
    await admin.apply({ ...policy, spec: { ...policy.spec, timeouts: { requestMs: 4_000 } } }, {}, signal);
    const late = await main.run("apply", "-json", "-input=false", "slow.bin");
    expect(late.diagnostics).toMatchObject([{ severity: "error", detail: expect.stringContaining("was changed by somebody else since it was read") as string }]);
    expect((await admin.get("TrafficPolicy", { namespace: "core", name: "payments" }, signal)).spec.timeouts).toEqual({ requestMs: 4_000 });
    await main.apply();
    expect(await main.plannedChanges()).toEqual([]);
  });

  it("reads the federation, placements and services as data, and makes tokens that are in no state", async () => {
    main.write(
      "data.tf",
      `
data "atoll_federation" "now" {}
data "atoll_placement" "payments" {
  cluster = "pay-eu"
  service = "core/payments"
}
data "atoll_service" "payments" {
  cluster   = "pay-eu"
  namespace = "core"
  name      = "payments"
}
ephemeral "atoll_join_token" "gateway" {
  purpose = "gateway"
  cluster = "pay-eu"
}
output "clusters" {
  value = sort(data.atoll_federation.now.clusters[*].name)
}
output "places" {
  value = data.atoll_placement.payments.places[*].cluster
}
output "port" {
  value = data.atoll_service.payments.ports[0].port
}
`,
    );
    await main.apply();
    const outputs = JSON.parse((await main.mustRun("output", "-json")).out) as Record<string, { readonly value: unknown }>;
    expect(outputs).toMatchObject({ clusters: { value: ["pay-eu", "shop-eu"] }, places: { value: ["pay-eu"] }, port: { value: 80 } });
    expect((await main.mustRun("state", "pull")).out).not.toMatch(/atoll_join_token|"token"/);
    main.write("data.tf", "");
    await main.apply();
  });

  it("fails a plan that would cut a service off, or leave less of it than was asked for, and says where", async () => {
    await using instance = await TestProxy.join(await planes.clusterToken("pay-eu", { kind: "workload", namespace: "core", serviceAccount: "payments" }));
    expect(await instance.report({ instanceId: "payments-0", ports: [{ namespace: "core", service: "payments", port: 80 }] })).toMatchObject({ refused: "" });
    using other = open();
    const simulation = (more: string): void => other.write("main.tf", `${head}data "atoll_simulation" "payments" {\n  cluster = "pay-eu"\n  service = "core/payments"\n${more}}\noutput "left" {\n  value = data.atoll_simulation.payments\n}\n`);
    const refusals = async () => (await other.run("plan", "-json", "-input=false")).diagnostics;
    simulation('  lost_regions = ["us-east"]\n  capacity_left_min = 0.9\n');
    await other.init();
    await eventually("the plane knows the instance", async () => (await refusals()).length === 0);
    await other.apply();
    const outputs = JSON.parse((await other.mustRun("output", "-json")).out) as Record<string, { readonly value: unknown }>;
    expect(outputs["left"]?.value).toMatchObject({ served: true, chosen: "pay-eu", capacity_left: 1, places: [{ cluster: "pay-eu", lost: false, endpoints_total: 1, load_share_after: 1 }] });
    simulation('  lost_clusters = ["pay-eu"]\n');
    expect(await refusals()).toMatchObject([{ severity: "error", where: 'service = "core/payments"', detail: expect.stringContaining("would be cut off") as string }]);
    simulation('  lost_clusters = ["pay-eu"]\n  may_be_cut_off = true\n  capacity_left_min = 0.5\n');
    expect(await refusals()).toMatchObject([{ where: "capacity_left_min = 0.5", detail: expect.stringContaining("keep 0 % of its usable instances, less than 50 %") as string }]);
    simulation('  lost_clusters = ["pay-eu"]\n  may_be_cut_off = true\n');
    expect(await refusals()).toEqual([]);
    simulation("  capacity_left_min = 60\n");
    expect(await refusals()).toMatchObject([{ where: "capacity_left_min = 60", detail: expect.stringContaining("expected 0 to 1") as string }]);
    simulation('  lost_regions = ["Not A Region"]\n');
    expect(await refusals()).toMatchObject([{ severity: "error", detail: expect.stringContaining("names, separated by commas") as string }]);
  });

  it("holds back what depends on a write until every cluster has it, and keeps the write where one has not", async () => {
    using other = open();
    const gated = (requestMs: number, waitSeconds: number): void =>
      other.write(
        "main.tf",
        `${head}resource "atoll_traffic_policy" "patient" {
  namespace  = "core"
  name       = "patient"
  target_ref = { namespace = "core", name = "ledger", trust_domain = "pay.example" }
  timeouts   = { request_ms = ${requestMs} }
}
data "atoll_rollout" "patient" {
  kind         = "TrafficPolicy"
  namespace    = atoll_traffic_policy.patient.namespace
  name         = atoll_traffic_policy.patient.name
  generation   = atoll_traffic_policy.patient.generation
  wait_seconds = ${waitSeconds}
}
resource "atoll_region" "after" {
  name         = "after"
  display_name = "of generation ${requestMs} of \${length(data.atoll_rollout.patient.clusters)} clusters"
}
`,
      );
    const after = async (): Promise<string | undefined> => {
      using admin = planes.admin();
      return (await admin.get("Region", { name: "after" }, signal)).spec.displayName;
    };
    gated(4_000, 60);
    await other.init();
    await other.apply();
    expect(await after()).toBe("of generation 4000 of 2 clusters");
    expect(await other.plannedChanges()).toEqual([]);

    planes.hub.faults = ({ from, to }) => (from === "shop-eu" || to === "shop-eu" ? [] : [0]);
    gated(5_000, 1);
    const { code, diagnostics } = await other.run("apply", "-json", "-auto-approve", "-input=false");
    planes.hub.faults = () => [0];
    expect(code).toBe(1);
    expect(diagnostics).toMatchObject([{ severity: "error", where: "name         = atoll_traffic_policy.patient.name", detail: expect.stringMatching(/TrafficPolicy core\/patient after 1 s: shop-eu: /) as string }]);
    expect(await after()).toBe("of generation 4000 of 2 clusters");
    gated(5_000, 60);
    await other.apply();
    expect(await after()).toBe("of generation 5000 of 2 clusters");
    expect(await other.plannedChanges()).toEqual([]);
    await other.mustRun("destroy", "-auto-approve", "-input=false", "-no-color");
  });

  it("relates two teams by the module, each approving in a state of its own", async () => {
    const modules = join(import.meta.dirname, "..", "..", "terraform", "modules");
    await main.mustRun("fmt", "-check", "-recursive", modules);
    const ofTeam = (body: string): TerraformRun => {
      const run = open();
      run.write("main.tf", `${head}${body}`);
      return run;
    };
    using shop = ofTeam(`
module "second" {
  source      = ${JSON.stringify(join(modules, "relationship"))}
  name        = "second"
  caller      = { trust_domain = "shop.example", principals = ["*"] }
  callee      = { trust_domain = "pay.example", services = ["core/payments"] }
  valid_until = "2099-01-01T00:00:00Z"
  approve_as  = ["shop.example"]
}
`);
    using pay = ofTeam(`
data "atoll_relationship" "second" {
  name = "second"
}

resource "atoll_relationship_approval" "ours" {
  relationship = data.atoll_relationship.second.name
  generation   = data.atoll_relationship.second.generation
  trust_domain = "pay.example"
}
`);
    for (const team of [shop, pay]) {
      await team.init();
      await team.apply();
      expect(await team.plannedChanges()).toEqual([]);
    }
    using admin = planes.admin();
    await eventually("both have approved", async () => (await admin.call(globalRoutes.status, {}, signal)).body.relationships.some(({ name, state }) => name === "second" && state === "active"));
    for (const team of [pay, shop]) await team.mustRun("destroy", "-auto-approve", "-input=false", "-no-color");
  });

  it("leaves nothing behind when everything is destroyed", async () => {
    await main.mustRun("destroy", "-auto-approve", "-input=false", "-no-color");
    using admin = planes.admin();
    using pay = planes.admin("pay-eu");
    for (const kind of ["Region", "Cluster", "Relationship", "TrafficPolicy"] as const) expect(await admin.list(kind, {}, signal)).toEqual([]);
    for (const kind of ["Service", "ServiceExport"] as const) expect(await pay.list(kind, {}, signal)).toEqual([]);
  });
});
