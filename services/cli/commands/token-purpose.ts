import { AtollError } from "#federation/runtime/errors.ts";
import { parseClusterId, parseLabel, type ClusterId } from "#federation/model/names.ts";

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
