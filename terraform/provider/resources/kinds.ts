import clusterSchema from "../../../docs/schemas/Cluster.json" with { type: "json" };
import federatedTrustDomainSchema from "../../../docs/schemas/FederatedTrustDomain.json" with { type: "json" };
import regionSchema from "../../../docs/schemas/Region.json" with { type: "json" };
import relationshipSchema from "../../../docs/schemas/Relationship.json" with { type: "json" };
import serviceSchema from "../../../docs/schemas/Service.json" with { type: "json" };
import serviceExportSchema from "../../../docs/schemas/ServiceExport.json" with { type: "json" };
import trafficPolicySchema from "../../../docs/schemas/TrafficPolicy.json" with { type: "json" };
import { kindInfos, type Kind } from "#federation/model/resource.ts";
import type { Attribute } from "../schema/attributes.ts";
import { attributesOf, type JsonSchema } from "../schema/from-json-schema.ts";
import type { Schema } from "../schema/to-proto.ts";

/** What is said of one kind here; the rest is the model's. */
interface KindDefinition {
  readonly kind: Kind;
  readonly typeName: string;
  readonly description: string;
  /** The published schema of the kind: attributes are made of it, so that a field of the model is never missing here. */
  readonly schema: { readonly properties: { readonly metadata: JsonSchema; readonly spec: JsonSchema } };
  /** Attributes of `spec` that the API does not change in place. */
  readonly replace?: readonly string[];
}

/** One kind of the model as a resource and a data source of Terraform's. */
export interface KindRow extends KindDefinition {
  /** By which a resource is found: where it is kept, and its names, the namespace first, as in `namespace/name`. */
  readonly keys: readonly Attribute[];
  /** What a user writes besides. */
  readonly labels: readonly Attribute[];
  readonly spec: readonly Attribute[];
}

/** A further kind of the model is a row here. */
const definitions: readonly KindDefinition[] = [
  { kind: "Region", typeName: "atoll_region", description: "A place where things fail together.", schema: regionSchema },
  {
    kind: "Cluster",
    typeName: "atoll_cluster",
    description: "A cluster of the federation: in which region it stands, to which trust domain it belongs, and how its gateways are reached.",
    schema: clusterSchema,
    replace: ["region", "trust_domain"],
  },
  {
    kind: "Relationship",
    typeName: "atoll_relationship",
    description: "What one trust domain may call of another, until when. It has effect once both sides have approved it (`atoll_relationship_approval`). Of a changed one what was agreed holds until both have approved the change; what is taken out ends at once.",
    schema: relationshipSchema,
  },
  { kind: "TrafficPolicy", typeName: "atoll_traffic_policy", description: "How requests to a service are routed, retried and bounded in time.", schema: trafficPolicySchema },
  {
    kind: "FederatedTrustDomain",
    typeName: "atoll_federated_trust_domain",
    description: "A trust domain outside of the federation whose identities the workloads of one cluster can verify: where its bundle is fetched, and by what its endpoint proves itself.",
    schema: federatedTrustDomainSchema,
  },
  { kind: "Service", typeName: "atoll_service", description: "A service of one cluster: its ports, and who may back it.", schema: serviceSchema },
  { kind: "ServiceExport", typeName: "atoll_service_export", description: "Offers a service of one cluster to others.", schema: serviceExportSchema },
];

/** The attribute that says at which cluster's plane a resource is kept. */
const clusterAttribute: Attribute = { name: "cluster", field: "cluster", type: { kind: "string" }, use: "required", description: "The cluster whose plane keeps it." };

/** Every kind, with its attributes made once. */
export const kindRows: readonly KindRow[] = definitions.map((definition) => {
  const metadata = attributesOf(definition.schema.properties.metadata);
  const names = metadata.filter(({ field }) => field === "name" || field === "namespace").toReversed();
  return {
    ...definition,
    keys: [...(isOfCluster(definition) ? [clusterAttribute] : []), ...names],
    labels: metadata.filter(({ field }) => field === "labels"),
    spec: attributesOf(definition.schema.properties.spec),
  };
});

/** Whether a kind is kept by the clusters' planes, each its own. */
export function isOfCluster({ kind }: Pick<KindRow, "kind">): boolean {
  return kindInfos[kind].owner === "cluster";
}

const id: Attribute = { name: "id", field: "id", type: { kind: "string" }, use: "computed", description: "`name`, `namespace/name`, or either behind `cluster/`: also what it is imported by." };
const generation: Attribute = { name: "generation", field: "generation", type: { kind: "number" }, use: "computed", description: "Counts the changes of the spec, from 1." };

/** The schema of a kind's resource. */
export function resourceSchema(row: KindRow): Schema {
  return { description: row.description, attributes: [...row.keys, ...row.labels, ...row.spec, id, generation] };
}

/** On data sources: what is declared by somebody else may not be there. */
const mayBeMissing: Attribute = { name: "may_be_missing", field: "mayBeMissing", type: { kind: "bool" }, use: "optional", description: "Where there is none, answer null in all that is read instead of failing. False unless told." };

/** The schema of a kind's data source: keys are given, everything else is read. */
export function dataSourceSchema(row: KindRow): Schema {
  const read = (attribute: Attribute): Attribute => ({ ...attribute, use: "computed", type: readOnly(attribute.type) });
  return { description: row.description, attributes: [...row.keys, mayBeMissing, ...[...row.labels, ...row.spec].map(read), id, generation] };
}

function readOnly(type: Attribute["type"]): Attribute["type"] {
  if (!("attributes" in type)) return type;
  return { kind: type.kind, attributes: type.attributes.map((attribute) => ({ ...attribute, use: "computed", type: readOnly(attribute.type) })) };
}
