import { federation } from "./data/federation.ts";
import { joinToken } from "./data/join-token.ts";
import { kindSource } from "./data/kind-source.ts";
import { placement } from "./data/placement.ts";
import { rollout } from "./data/rollout.ts";
import { simulation } from "./data/simulation.ts";
import { trustBundle } from "./data/trust-bundle.ts";
import { localUnit } from "./local/local-unit.ts";
import type { ManagedResource, ReadSource } from "./managed.ts";
import { approvalResource } from "./resources/approval-resource.ts";
import { kindResource } from "./resources/kind-resource.ts";
import { kindRows } from "./resources/kinds.ts";
import type { Schema } from "./schema/to-proto.ts";

/** What the provider itself is told. */
export const providerSchema: Schema = {
  description: "Regions, clusters, trust and policies of an Atoll federation, over the admin APIs of its planes.",
  attributes: [
    { name: "context", field: "context", type: { kind: "string" }, use: "optional", description: "Path of the context file, as `atoll --context` takes it: where the planes are, and who calls. `ATOLL_CONTEXT` unless given. Empty for a provider that keeps units of this machine (`atoll_local_unit`) and asks no planes." },
    { name: "timeout_seconds", field: "timeoutSeconds", type: { kind: "number" }, use: "optional", description: "Bound of one call of an admin API, from 1 to 600. 30 unless given." },
  ],
};

/** Every resource by its type. */
export const resources: ReadonlyMap<string, ManagedResource> = new Map<string, ManagedResource>([
  ...kindRows.map((row) => [row.typeName, kindResource(row)] as const),
  ["atoll_relationship_approval", approvalResource],
  ["atoll_local_unit", localUnit],
]);

/** Every data source by its type. */
export const dataSources: ReadonlyMap<string, ReadSource> = new Map<string, ReadSource>([
  ...kindRows.map((row) => [row.typeName, kindSource(row)] as const),
  ["atoll_federation", federation],
  ["atoll_placement", placement],
  ["atoll_rollout", rollout],
  ["atoll_simulation", simulation],
  ["atoll_trust_bundle", trustBundle],
]);

/** Every ephemeral resource by its type. */
export const ephemerals: ReadonlyMap<string, ReadSource> = new Map([["atoll_join_token", joinToken]]);
