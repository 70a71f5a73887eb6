import fc from "fast-check";
import { expect, it } from "vitest";
import type { BundleRow } from "#federation/admin-api/plane-routes.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import { stepFrom } from "#federation/model/root-rotation.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Asked } from "#services/cli/commands/patience.ts";
import { rotationWaits, type RotationWait } from "#services/cli/commands/rotation-waits.ts";
import { advanceRoots, believedRoots, type SignerRoots } from "#services/cluster/credentials/root-rotation.ts";

// The steps of a rotation and what each waits for, together, over clusters and proxies that hear of it in any order: whoever has an SVID
// is believed by everybody at every moment.

const trustDomain = "shop.example" as TrustDomainName;
const svidLife = 8;
interface Told {
  readonly sequence: number;
  readonly roots: readonly string[];
}
interface ModelProxy {
  told: Told;
  root: string;
  endsAt: number;
}
interface ModelCluster {
  isUp: boolean;
  told: Told;
  root: string;
  earlierEndAt: number;
  readonly proxies: readonly ModelProxy[];
}

/** How often each may happen; with more of what brings a rotation on than of what holds it up, or few would come to their later steps. */
const weights = { hear: 4, tell: 6, up: 4, step: 4, enrol: 2, renew: 2, pass: 2, down: 1, crash: 1 };

/** What may happen next, to which cluster and which of its proxies. */
const happening = fc.record({ what: fc.oneof(...Object.entries(weights).map(([what, weight]) => ({ arbitrary: fc.constant(what), weight }))), cluster: fc.nat(2), proxy: fc.nat(1) });

class Model {
  now = 0;
  made = 1;
  roots: SignerRoots = { phase: "settled", sequence: 1, issuing: { certificatePem: "root 1", privateKeyPem: "" } };
  readonly clusters: readonly ModelCluster[];
  /** Which waits the driver heeds. */
  readonly heeds: (wait: RotationWait) => boolean;

  constructor(heeds: (wait: RotationWait) => boolean) {
    this.heeds = heeds;
    const told = this.told();
    this.clusters = [0, 1, 2].map(() => ({ isUp: true, told, root: "root 1", earlierEndAt: 0, proxies: [0, 1].map(() => ({ told, root: "root 1", endsAt: svidLife })) }));
  }

  told(): Told {
    return { sequence: this.roots.sequence, roots: believedRoots(this.roots) };
  }

  happen({ what, cluster: at, proxy: which }: { readonly what: string; readonly cluster: number; readonly proxy: number }): void {
    const cluster = this.clusters[at] as ModelCluster;
    const proxy = cluster.proxies[which] as ModelProxy;
    if (what === "up") cluster.isUp = true;
    if (what === "down") cluster.isUp = false;
    if (what === "hear" && cluster.isUp) cluster.told = this.told();
    if (what === "tell" && cluster.isUp) proxy.told = cluster.told;
    if (what === "enrol" && cluster.isUp && cluster.root !== this.roots.issuing.certificatePem) Object.assign(cluster, { told: this.told(), root: this.roots.issuing.certificatePem, earlierEndAt: this.now + svidLife });
    // With an SVID a proxy gets the bundles of its plane.
    if (what === "renew" && cluster.isUp) Object.assign(proxy, { root: cluster.root, endsAt: this.now + svidLife, told: cluster.told });
    if (what === "pass") this.now++;
    if (what === "crash") this.roots = JSON.parse(JSON.stringify(this.roots)) as SignerRoots;
    if (what === "step") this.step();
  }

  step(): void {
    if (this.roots.phase === "settled" && this.made > 2) return;
    if (this.roots.phase !== "settled" && this.waits().some(this.heeds)) return;
    const makeRoot = () => ({ certificatePem: `root ${++this.made}`, privateKeyPem: "" });
    this.roots = advanceRoots(this.roots, { step: stepFrom[this.roots.phase], sequence: this.roots.sequence }, makeRoot);
  }

  waits(): readonly RotationWait[] {
    const clusters = this.clusters.map((_, index): Cluster => ({ apiVersion, kind: "Cluster", metadata: { name: `c${index}` }, spec: { region: "eu" as RegionId, trustDomain, exportNamespaces: [], gateways: [] } }));
    const asked = new Map(this.clusters.map((cluster, index) => [`c${index}`, this.answerOf(cluster)]));
    const { phase, sequence, issuing } = this.roots;
    return rotationWaits({ rotation: { trustDomain, phase, sequence, issuingSha256: issuing.certificatePem }, signer: "c0", clusters, relationships: [], asked });
  }

  answerOf({ isUp, told, proxies, root, earlierEndAt }: ModelCluster): Asked<readonly BundleRow[]> {
    if (!isUp) return { kind: "failed", error: new AtollError("ATOLL_ADMIN_UNAVAILABLE", "away") };
    const lack = proxies.filter((proxy) => proxy.told.sequence < told.sequence).length;
    const row = { trustDomain, sequence: told.sequence, from: "signer" as const, document: "", proxies: { have: proxies.length - lack, lack, lacking: [], unsettledMs: 0 }, intermediate: { rootSha256: root, earlierSvidsLeftMs: Math.max(0, earlierEndAt - this.now) } };
    return { kind: "answer", value: [row] };
  }

  /** An SVID that lives and that somebody does not believe. */
  isBroken(): boolean {
    const proxies = this.clusters.flatMap((cluster) => cluster.proxies);
    return proxies.some(({ root, endsAt }) => endsAt > this.now && proxies.some(({ told }) => !told.roots.includes(root)));
  }
}

/** A run through `happenings`, and then one in which everybody is there: false as soon as somebody with an SVID is not believed. */
function goesWell(happenings: readonly { readonly what: string; readonly cluster: number; readonly proxy: number }[], heeds: (wait: RotationWait) => boolean): boolean {
  const model = new Model(heeds);
  for (const one of happenings) {
    model.happen(one);
    if (model.isBroken()) return false;
  }
  const everybody = ["up", "hear", "enrol", "tell", "renew"].flatMap((what) => model.clusters.flatMap((_, cluster) => [0, 1].map((proxy) => ({ what, cluster, proxy }))));
  for (let round = 0; round < 60; round++) {
    for (const one of [...everybody, { what: "pass", cluster: 0, proxy: 0 }, { what: "step", cluster: 0, proxy: 0 }]) model.happen(one);
    if (model.isBroken()) return false;
  }
  return model.roots.phase === "settled" && model.made === 3 && model.clusters.every(({ told }) => told.roots.join() === "root 3");
}

const runs = fc.array(happening, { minLength: 100, maxLength: 400 });

it("believes whoever has an SVID at every moment and comes to its end, whoever hears of it when, is away, or crashes", () => {
  fc.assert(fc.property(runs, (happenings) => goesWell(happenings, () => true)), { numRuns: 1_000 });
});

it.each(["behind", "silent", "proxies", "intermediate", "svids"] as const)("would not, were it not to wait for a cause: %s", (cause) => {
  const { failed } = fc.check(fc.property(runs, (happenings) => goesWell(happenings, (wait) => wait.cause !== cause)), { numRuns: 2_000, seed: 1, endOnFailure: true });
  expect(failed).toBe(true);
});
