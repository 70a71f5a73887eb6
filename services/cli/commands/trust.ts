import { AtollError } from "#federation/runtime/errors.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { parseClusterId, parseLabel, type ClusterId } from "#federation/model/names.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { approveRelationship } from "../up/bring-up.ts";
import { withFederation } from "./federation.ts";

/** What a join token is asked for, as written on the command line. */
export type TokenPurpose =
  | { readonly kind: "cluster"; readonly cluster: ClusterId }
  | { readonly kind: "enrolment"; readonly cluster: ClusterId }
  | { readonly kind: "workload"; readonly namespace: string; readonly serviceAccount: string }
  | { readonly kind: "gateway" };

/** `cluster:NAME`, `enrolment:NAME`, `workload:NAMESPACE/ACCOUNT` or `gateway`. @throws {ATOLL_USAGE} */
export function parseTokenPurpose(text: string): TokenPurpose {
  const [kind = "", rest = ""] = text.split(/:(.*)/s);
  if (kind === "gateway" && !text.includes(":")) return { kind };
  if ((kind === "cluster" || kind === "enrolment") && rest !== "") return { kind, cluster: parseClusterId(rest) };
  const parts = rest.split("/");
  const [namespace, serviceAccount] = parts;
  if (kind === "workload" && parts.length === 2 && namespace !== undefined && serviceAccount !== undefined) {
    return { kind, namespace: parseLabel(namespace, "namespace"), serviceAccount: parseLabel(serviceAccount, "service account") };
  }
  throw new AtollError("ATOLL_USAGE", `${JSON.stringify(text)}: a token is for cluster:NAME, enrolment:NAME, workload:NAMESPACE/ACCOUNT or gateway`);
}

/** `atoll token create PURPOSE`: the token alone goes to standard output. */
export async function runTokenCreate(context: CommandContext, purposeText: string, options: { readonly cluster?: string; readonly life?: number }): Promise<number> {
  const purpose = parseTokenPurpose(purposeText);
  if (purpose.kind !== "cluster" && options.cluster === undefined) throw new AtollError("ATOLL_USAGE", `a token for ${purposeText} is made by a cluster's plane: say by which with --cluster`);
  const body = { purpose, ...(options.life === undefined ? {} : { lifeSeconds: options.life }) };
  const answer = await withFederation(context, async ({ planes }) => {
    if (purpose.kind === "cluster") return (await planes.global().call(globalRoutes.createJoinToken, { body }, context.signal)).body;
    return (await planes.cluster(options.cluster ?? "").call(clusterRoutes.createJoinToken, { body }, context.signal)).body;
  });
  if (printData(context, answer)) return 0;
  context.terminal.print(answer.token);
  context.terminal.note(`Works once, until ${answer.expiresAt}; it is not shown again.`);
  return 0;
}

/** `atoll relationship approve NAME --as TRUST-DOMAIN …`. */
export async function runApprove(context: CommandContext, name: string, options: { readonly as: readonly string[] }): Promise<number> {
  const relationship = parseLabel(name, "relationship");
  await withFederation(context, async ({ planes }) => {
    for (const trustDomain of options.as) {
      await approveRelationship(planes, relationship, trustDomain, context);
      if (context.output === "table") context.terminal.print(`${trustDomain} has approved relationship ${relationship}`);
    }
  });
  printData(context, { relationship, approvedBy: options.as });
  return 0;
}
