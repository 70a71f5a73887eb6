import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { parseClusterId, parseLabel } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { requiredText, textOf, type CtyObject } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";

/**
 * `atoll_join_token`, ephemeral: made anew for each run, in no plan and no state. It works once, so that a run that does not hand it to
 * anybody leaves nothing but a hash that expires.
 */
export const joinToken: ReadSource = {
  schema: {
    description: "A join token, for one use within ten minutes; ephemeral, so that it is in no plan and no state. Hand it to write-only attributes, or to a provisioner's standard input.",
    attributes: [
      { name: "purpose", field: "purpose", type: { kind: "string" }, use: "required", description: "`cluster` (a cluster's plane joins), `enrolment` (it asks its signer for its intermediate), `workload` or `gateway`." },
      { name: "cluster", field: "cluster", type: { kind: "string" }, use: "required", description: "Which cluster joins or enrols; of a workload or gateway, whose plane lets it in." },
      { name: "signer", field: "signer", type: { kind: "string" }, use: "optional", description: "For `enrolment`: the cluster whose plane is the signer." },
      { name: "namespace", field: "namespace", type: { kind: "string" }, use: "optional", description: "Of a workload." },
      { name: "service_account", field: "serviceAccount", type: { kind: "string" }, use: "optional", description: "Of a workload." },
      { name: "token", field: "token", type: { kind: "string" }, use: "computed", isSensitive: true, description: "What the token file has to hold." },
      { name: "expires_at", field: "expiresAt", type: { kind: "string" }, use: "computed", description: "RFC 3339." },
    ],
  },
  async read(config, planes, signal) {
    const cluster = requiredText(config, "cluster");
    const purpose = purposeOf(config);
    const body = { purpose };
    const answer =
      purpose.kind === "cluster"
        ? await planes.of(undefined).call(globalRoutes.createJoinToken, { body }, signal)
        : await planes.of(purpose.kind === "enrolment" ? requiredText(config, "signer") : cluster).call(clusterRoutes.createJoinToken, { body }, signal);
    return { ...config, token: answer.body.token, expires_at: answer.body.expiresAt };
  },
};

/** @throws {ATOLL_REQUEST_INVALID} for a purpose that there is not, or that lacks what it needs. */
function purposeOf(config: CtyObject): JoinPurpose {
  const kind = requiredText(config, "purpose");
  const need = (name: string): string => {
    const value = textOf(config[name]);
    if (value === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `${name}: a token for ${kind} needs it`);
    return value;
  };
  switch (kind) {
    case "cluster":
      return { kind, cluster: parseClusterId(need("cluster")) };
    case "enrolment":
      need("signer");
      return { kind, cluster: parseClusterId(need("cluster")) };
    case "workload":
      return { kind, namespace: parseLabel(need("namespace"), "namespace"), serviceAccount: parseLabel(need("service_account"), "service account") };
    case "gateway":
      return { kind };
    default:
      throw new AtollError("ATOLL_REQUEST_INVALID", `purpose: found ${JSON.stringify(kind)}, expected cluster, enrolment, workload or gateway`);
  }
}
