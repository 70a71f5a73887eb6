import { parseClusterId } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { encodeExportedService } from "#federation/model/parse/parse-resource.ts";
import type { Consumer } from "#federation/model/resource.ts";
import type { ClusterState } from "../cluster-state.ts";
import { deriveExports, type DerivedExport } from "./derive-exports.ts";
import type { OwnContent } from "./own-objects.ts";

/** What this cluster's exports should say now, by `namespace/name`. */
export function exportContents(state: ClusterState): ReadonlyMap<string, OwnContent> {
  return new Map([...deriveExports(state).values()].map((derived) => [`${derived.value.namespace}/${derived.value.name}`, contentOf(derived)]));
}

function contentOf({ value, consumers }: DerivedExport): OwnContent {
  const audience = consumers.map(audienceName).toSorted();
  return {
    fingerprint: JSON.stringify([value, audience]),
    audience,
    encode: (nowMs) => encodeExportedService({ ...value, asOfMs: Math.floor(nowMs) }),
  };
}

/** How a consumer is named in an object's audience. */
export function audienceName(consumer: Consumer): string {
  return "cluster" in consumer ? `${clusterPrefix}${consumer.cluster}` : consumer.trustDomain;
}

/** The consumer that an audience's name stands for. */
export function consumerOf(name: string): Consumer {
  return name.startsWith(clusterPrefix) ? { cluster: parseClusterId(name.slice(clusterPrefix.length)) } : { trustDomain: parseTrustDomainName(name) };
}

const clusterPrefix = "cluster:";
