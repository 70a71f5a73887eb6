import { parseRegionId, type RegionId } from "#federation/model/names.ts";
import { requiredText, textOf, type CtyObject } from "../cty/values.ts";
import type { Attribute } from "../schema/attributes.ts";
import { text } from "./read-attribute.ts";

/** A question about a service's requests, as the admin API of a cluster's plane takes it. */
export interface ServiceQuestion {
  readonly service: string;
  readonly region?: RegionId;
}

/** The attributes that ask it; `cluster` says what the cluster is in it. */
export function questionAttributes(cluster: string): readonly Attribute[] {
  return [
    { name: "cluster", field: "cluster", type: text, use: "required", description: cluster },
    { name: "service", field: "service", type: text, use: "required", description: "`namespace/name`, or a host as callers write it." },
    { name: "region", field: "region", type: text, use: "optional", description: "As if called from there; the cluster's own unless told." },
  ];
}

/** Reads them: whose plane is asked, and what. @throws {ATOLL_NAME_INVALID} for what is no region's name. */
export function questionOf(config: CtyObject): { readonly cluster: string; readonly question: ServiceQuestion } {
  const region = textOf(config["region"]);
  return { cluster: requiredText(config, "cluster"), question: { service: requiredText(config, "service"), ...(region === undefined ? {} : { region: parseRegionId(region) }) } };
}
