import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { engineCountOf } from "../up/engine-plan.ts";
import { demoFederation, twoRegionDemo, withRates } from "../up/demo-federation.ts";
import type { FederationPlan } from "../up/federation-plan.ts";
import { readFederationFile } from "../up/federation-file.ts";
import { livingProcesses } from "../up/running.ts";
import { processCountOf } from "../up/topology.ts";
import { loadFor } from "./demo-load.ts";
import { describeHost, planForHost } from "./host-plan.ts";
import { measureHost } from "./measure-host.ts";

/** The region that dies unless told otherwise. */
export const demoRegion = "eu-west";

/**
 * What the host carries, measured, printed and made into a plan. Of a federation that was made before, the regions stay and
 * only the users' rates are new; undefined for one that runs, which would be measured with its own load beside, and for one that a user's file describes.
 * @throws {ATOLL_USAGE} when the region is none.
 */
export async function planForDemo(context: CommandContext, options: { readonly region?: string; readonly rate?: number; readonly engines?: boolean; readonly members?: number }): Promise<FederationPlan | undefined> {
  if (livingProcesses(context.dataDir).length > 0) return undefined;
  const file = readFederationFile(context.dataDir);
  // Nobody's users but the demonstration's are measured for.
  if (file?.source !== undefined) return undefined;
  const region = options.region ?? demoRegion;
  const known = file?.plan;
  requireRegion(known ?? demoFederation, region);
  const host = await measureHost(context);
  const processesOf = (plan: FederationPlan): number => processCountOf(plan) + (options.engines === true ? engineCountOf(plan, options.members ?? 1) : 0);
  const canBeSmall = known === undefined && twoRegionDemo.regions.some(({ name }) => name === region);
  const sizes = { full: processesOf(known ?? demoFederation), ...(canBeSmall ? { small: processesOf(twoRegionDemo) } : {}) };
  const choice = planForHost(host, sizes, options.rate);
  const plan = known ?? (choice.size === "small" ? twoRegionDemo : demoFederation);
  for (const sentence of describeHost(host, choice)) if (context.output === "table") context.terminal.print(sentence);
  return withRates(plan, loadFor(choice.ratePerSecond, region, plan.users.map((users) => users.region)).rates);
}

/** @throws {ATOLL_USAGE} naming the regions there are. */
export function requireRegion(plan: FederationPlan, region: string): void {
  if (plan.regions.some(({ name }) => name === region)) return;
  throw new AtollError("ATOLL_USAGE", `there is no region ${region}; there are ${plan.regions.map(({ name }) => name).join(", ")}`);
}
