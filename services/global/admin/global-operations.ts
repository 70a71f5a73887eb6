import { renewAnswerSchema, renewPath, renewRequestSchema } from "#federation/admin-api/join-contract.ts";
import { globalRoutes, joinTokenSeconds } from "#federation/admin-api/plane-routes.ts";
import { resourceOperations } from "#federation/admin-api/resource-routes.ts";
import { defineRoute, implement, type Operation, type Peer } from "#federation/admin-api/route.ts";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { createJoinToken, encodeJoinToken } from "#federation/identity/join-token.ts";
import { sha256Hex } from "#federation/identity/key-pair.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { pathOf } from "#federation/model/spiffe-id.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import type { FederationKeys } from "../federation-keys.ts";
import { clusterOfPlane, renewCluster, type JoinClusterOptions } from "../join/join-cluster.ts";
import { clusterAdmission, regionAdmission, relationshipAdmission, trustDomainAdmission } from "./admissions.ts";
import { recordApproval } from "./approvals.ts";

export interface GlobalOperationsOptions {
  readonly keys: FederationKeys;
  readonly catalog: Catalog;
  readonly status: () => FederationStatus;
  readonly joinAddress: string;
  readonly joining: JoinClusterOptions;
  readonly onRenewed: () => void;
  readonly clock: Clock;
}

/** A cluster's plane renews its own certificate; nobody else may, and it may nothing else. */
const renewClusterPlane = defineRoute({
  operationId: "renewClusterPlane",
  method: "POST",
  path: renewPath,
  summary: "Certifies the next key of the calling cluster plane",
  access: "write",
  body: renewRequestSchema,
  answer: renewAnswerSchema,
});

/** Who may do what at the global plane: administrators everything but renew, cluster planes renew and nothing else. */
export function authorizeGlobal({ spiffeId }: Peer, operationId: string): boolean {
  if (operationId === renewClusterPlane.operationId) return clusterOfPlane(spiffeId) !== undefined;
  return pathOf(spiffeId).startsWith("/atoll/admin/");
}

/** Between two states of a followed status. */
const statusIntervalMs = 1_000;

/** The global plane's admin API. */
export function globalOperations(options: GlobalOperationsOptions): readonly Operation[] {
  const { keys, catalog, status, joinAddress, joining, onRenewed, clock } = options;
  const [root = new Uint8Array()] = parseChainPem(keys.rootPem);
  return [
    ...resourceOperations("Region", catalog.resources("Region"), regionAdmission(catalog)),
    ...resourceOperations("Cluster", catalog.resources("Cluster"), clusterAdmission(catalog)),
    ...resourceOperations("TrustDomain", catalog.resources("TrustDomain"), trustDomainAdmission),
    ...resourceOperations("Relationship", catalog.resources("Relationship"), relationshipAdmission),
    ...resourceOperations("TrafficPolicy", catalog.resources("TrafficPolicy")),
    implement(globalRoutes.createJoinToken, async ({ body }, signal) => {
      const token = createJoinToken([joinAddress], sha256Hex(root));
      const lifeMs = (body.lifeSeconds ?? joinTokenSeconds.usual) * 1_000;
      const record = await catalog.joinTokens.create({ id: token.id, secret: Buffer.from(token.secret, "base64url"), purpose: body.purpose, lifeMs }, clock.nowMs(), signal);
      return { status: 201, body: { id: token.id, token: encodeJoinToken(token), purpose: body.purpose, expiresAt: new Date(record.expiresAtMs).toISOString() } };
    }),
    implement(
      globalRoutes.status,
      async () => ({ body: status() }),
      async function* watchStatus(_request, signal) {
        while (!signal.aborted) {
          yield { type: "status" as const, status: status() };
          await sleep(clock, statusIntervalMs, signal).catch(() => undefined);
        }
      },
    ),
    implement(globalRoutes.recordApproval, async ({ params, body }, signal) => {
      const relationship = await recordApproval(catalog, params.name, body, signal);
      return { body: { name: relationship.metadata.name, approvals: [...(relationship.status?.approvals ?? [])] } };
    }),
    implement(renewClusterPlane, async ({ body, peer }, signal) => {
      const answer = await renewCluster(joining, { csr: body.csr, caller: peer.spiffeId }, signal);
      onRenewed();
      return { body: answer };
    }),
  ];
}
