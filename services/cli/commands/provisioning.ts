import { AtollError } from "#federation/runtime/errors.ts";
import type { ProvisioningTokenView } from "#federation/admin-api/provisioning-routes.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { CommandContext } from "../context.ts";
import { printData, printRows } from "../output.ts";
import type { Column } from "../table.ts";
import { withFederation } from "./federation.ts";
import type { TokenPurpose } from "./token-purpose.ts";

/** Life of a token for many instances unless told, in seconds: a day, which is long enough for a roll-out and short for a secret that lies in images. */
const usualLifeSeconds = 24 * 3_600;

interface ClusterChoice {
  /** The cluster whose plane is asked; the global one unless told. */
  readonly cluster?: string;
}

/** `atoll token create PURPOSE --uses N`: the token alone goes to standard output. */
export async function runProvisioningCreate(
  context: CommandContext,
  purpose: TokenPurpose,
  options: ClusterChoice & { readonly uses: number; readonly life?: number; readonly cidr?: readonly string[] },
): Promise<number> {
  if (purpose.kind !== "cluster" && options.cluster === undefined) throw new AtollError("ATOLL_USAGE", `a token for ${purpose.kind} is made by a cluster's plane: say by which with --cluster`);
  const body = { purpose, uses: options.uses, lifeSeconds: options.life ?? usualLifeSeconds, ...(options.cidr === undefined ? {} : { cidrs: [...options.cidr] }) };
  const answer = await withFederation(context, async ({ planes }) => {
    if (purpose.kind === "cluster") return (await planes.global().call(globalRoutes.createProvisioningToken, { body }, context.signal)).body;
    return (await planes.cluster(options.cluster ?? "").call(clusterRoutes.createProvisioningToken, { body }, context.signal)).body;
  });
  if (printData(context, answer)) return 0;
  context.terminal.print(answer.token);
  context.terminal.note(`Works for ${options.uses} instances, until ${answer.expiresAt}; it is not shown again. Revoke it with: atoll token revoke ${answer.id}${options.cluster === undefined ? "" : ` --cluster ${options.cluster}`}`);
  return 0;
}

const columns: readonly Column<ProvisioningTokenView>[] = [
  { title: "ID", value: (token) => token.id },
  { title: "FOR", value: (token) => purposeText(token.purpose) },
  { title: "USES", value: (token) => `${token.uses.length}/${token.usesMax}` },
  { title: "FROM", value: (token) => token.cidrs.join(",") || "everywhere" },
  { title: "EXPIRES", value: (token) => token.expiresAt },
  { title: "STATE", value: (token) => (token.revoked ? "revoked" : token.uses.length >= token.usesMax ? "used up" : "open") },
];

/** `atoll token list`: the tokens for many instances of one plane. */
export async function runTokenList(context: CommandContext, options: ClusterChoice): Promise<number> {
  const { items } = await withFederation(context, async ({ planes }) => {
    if (options.cluster === undefined) return (await planes.global().call(globalRoutes.listProvisioningTokens, {}, context.signal)).body;
    return (await planes.cluster(options.cluster).call(clusterRoutes.listProvisioningTokens, {}, context.signal)).body;
  });
  printRows(context, items, columns);
  return 0;
}

/** `atoll token revoke ID`. */
export async function runTokenRevoke(context: CommandContext, id: string, options: ClusterChoice): Promise<number> {
  const token = await withFederation(context, async ({ planes }) => {
    if (options.cluster === undefined) return (await planes.global().call(globalRoutes.revokeProvisioningToken, { params: { id } }, context.signal)).body;
    return (await planes.cluster(options.cluster).call(clusterRoutes.revokeProvisioningToken, { params: { id } }, context.signal)).body;
  });
  if (printData(context, token)) return 0;
  context.terminal.print(`${token.id} is revoked; ${token.uses.length} instances used it, and keep their certificates until these expire`);
  return 0;
}

function purposeText(purpose: TokenPurpose): string {
  if (purpose.kind === "gateway") return purpose.kind;
  if (purpose.kind === "workload") return `workload:${purpose.namespace}/${purpose.serviceAccount}`;
  return `${purpose.kind}:${purpose.cluster}`;
}
