import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { parseRegionId } from "#federation/model/names.ts";
import { requiredText, textOf } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";
import type { Attribute, AttributeType } from "../schema/attributes.ts";

const text: AttributeType = { kind: "string" };
const number: AttributeType = { kind: "number" };

function read(name: string, type: AttributeType, description: string): Attribute {
  return { name, field: name, type, use: "computed", description };
}

/** `atoll_placement`: where a cluster's callers of a service are served, and why. */
export const placement: ReadSource = {
  schema: {
    description: "Where requests of a cluster's callers to a service go, by what that cluster's plane knows: as `atoll explain`.",
    attributes: [
      { name: "cluster", field: "cluster", type: text, use: "required", description: "Whose plane is asked." },
      { name: "service", field: "service", type: text, use: "required", description: "`namespace/name`, or a host as callers write it." },
      { name: "region", field: "region", type: text, use: "optional", description: "As if called from there; the cluster's own unless told." },
      read("chosen", text, "The cluster to which a request goes first; null when there is none."),
      read(
        "places",
        {
          kind: "objectList",
          attributes: [read("cluster", text, ""), read("region", text, ""), read("verdict", text, ""), read("endpoints_ready", number, ""), read("endpoints_total", number, ""), read("load_share", number, "From 0 to 1."), read("reason", text, "")],
        },
        "In the order in which they are tried.",
      ),
    ],
  },
  async read(config, planes, signal) {
    const cluster = requiredText(config, "cluster");
    const service = requiredText(config, "service");
    const named = textOf(config["region"]);
    const region = named === undefined ? undefined : parseRegionId(named);
    const { body } = await planes.of(cluster).call(clusterRoutes.explain, { query: { service, ...(region === undefined ? {} : { region }) } }, signal);
    const places = body.places.toSorted((one, other) => one.order - other.order);
    return {
      cluster,
      service,
      region: region ?? null,
      chosen: body.chosen ?? null,
      places: places.map((place) => ({
        cluster: place.cluster,
        region: place.region,
        verdict: place.verdict,
        endpoints_ready: place.endpointsReady,
        endpoints_total: place.endpointsTotal,
        load_share: place.loadShare,
        reason: place.reason,
      })),
    };
  },
};
