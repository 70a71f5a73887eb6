import type { FederationPlan } from "./federation-plan.ts";
import type { PlacedInstance } from "./app-processes.ts";
import { localAddress, type Layout } from "./layout.ts";
import { appsName, usersName } from "./planned-process.ts";
import { addSidecar } from "./proxy-processes.ts";

/** Shorter than what a user waits, so that the storefront still answers. */
const callDeadlineMs = 4_000;
const userDeadlineMs = 8_000;
/** So many answers at home has each region's first callers had before the others come: by then every program on the way has compiled what it runs most. */
const userFirstAnswers = 200;
/** From the rate of callers who wait to the rate of those who do not. */
const userRampMs = 2_000;

/** The demo applications of a region die with it and know nothing of each other, so one process does for all of them. */
export function addDemoApps(layout: Layout, placed: readonly PlacedInstance[]): void {
  const ofRegions = new Map<string, object[]>();
  for (const { workload, instance, cluster, appPort, outboundPort } of placed) {
    const { app } = workload;
    if (app.kind !== "demo") continue;
    const apps = ofRegions.get(cluster.region) ?? [];
    const outbound = app.role === "storefront" ? { outbound: { address: localAddress, port: outboundPort } } : {};
    apps.push({ name: instance.name, kind: app.role, listen: { address: localAddress, port: appPort }, workMs: app.workMs, ...outbound });
    ofRegions.set(cluster.region, apps);
  }
  for (const [region, apps] of ofRegions) {
    const name = appsName(region);
    layout.add({ name, kind: "app", stage: "apps", region, entry: ["services/demo/apps-main.ts"], config: { name, region, callDeadlineMs, apps } });
  }
}

/** The delays between regions. One region alone has none. */
export function addNetwork(layout: Layout): void {
  if (layout.links.length === 0) return;
  layout.add({ name: "network", kind: "relay", stage: "network", entry: ["services/demo/relay-main.ts"], config: { name: "network", links: layout.links } });
}

/** The users of every region, each with an edge sidecar. */
export function addUsers(layout: Layout, plan: FederationPlan): void {
  const groups: object[] = [];
  for (const users of plan.users) {
    const cluster = plan.clusters.find((candidate) => candidate.name === users.cluster);
    if (cluster === undefined) throw new Error(`no cluster ${users.cluster}`);
    const port = addSidecar(layout, cluster, { name: `${users.region}-edge`, namespace: users.target?.namespace ?? "web", serviceAccount: "edge", diesWithRegion: false, services: [], isEdge: true });
    groups.push({ region: users.region, edge: { address: localAddress, port }, ratePerSecond: users.ratePerSecond, ...(users.target === undefined ? {} : { target: { host: users.target.host, path: users.target.path } }) });
  }
  if (groups.length === 0) return;
  layout.add({
    name: usersName,
    kind: "users",
    stage: "users",
    entry: ["services/demo/users-main.ts"],
    config: { name: usersName, groups, host: "storefront.web", deadlineMs: userDeadlineMs, firstAnswers: userFirstAnswers, rampMs: userRampMs },
  });
}
