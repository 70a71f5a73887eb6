import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { SimulationAnswer } from "#federation/admin-api/status.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CtyObject } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";
import type { Attribute, AttributeType } from "../schema/attributes.ts";
import { bool, number, read, text } from "./read-attribute.ts";
import { questionAttributes, questionOf } from "./service-question.ts";

const texts: AttributeType = { kind: "list", of: "string" };

function given(name: string, field: string, type: AttributeType, description: string): Attribute {
  return { name, field, type, use: "optional", description };
}

/** `atoll_simulation`: what a loss would do to a service, asked while planning; it fails the plan that would cut it off. */
export const simulation: ReadSource = {
  schema: {
    description:
      "What the loss of regions and clusters would do to the requests of a cluster's callers to a service, by what that cluster's plane knows. Read while planning, it fails the plan when nobody ready would be left to serve them, or less of the capacity than you ask for: put what you are about to take away into it.",
    attributes: [
      ...questionAttributes("Whose callers, and whose plane is asked."),
      given("lost_regions", "lostRegions", texts, "Imagined to be gone, each with everything in it."),
      given("lost_clusters", "lostClusters", texts, "Imagined to be gone."),
      given("capacity_left_min", "capacityLeftMin", number, "Fail when a smaller share, from 0 to 1, of the instances that are usable now would be left: 0.6 where they are busy to 60 %."),
      given("may_be_cut_off", "mayBeCutOff", bool, "Answer `served` false instead of failing. False unless told."),
      read("served", bool, "Whether anything ready would be left to serve the callers, and they themselves."),
      read("chosen", text, "The cluster to which a request would go first; null when there is none."),
      read("capacity_left", number, "Of the instances that are usable now (ready, or with nothing known against them), the share that would be left, from 0 to 1."),
      read(
        "places",
        {
          kind: "objectList",
          attributes: [read("cluster", text, ""), read("region", text, ""), read("lost", bool, ""), read("endpoints_ready", number, ""), read("endpoints_unknown", number, "Not heard; asked all the same."), read("endpoints_total", number, ""), read("load_share_before", number, "From 0 to 1."), read("load_share_after", number, "From 0 to 1.")],
        },
        "In the order in which they are tried now.",
      ),
    ],
  },
  async read(config, planes, signal) {
    const { cluster, question } = questionOf(config);
    const query = {
      ...question,
      ...listed("lostRegions", config["lost_regions"]),
      ...listed("lostClusters", config["lost_clusters"]),
    };
    const { body } = await planes.of(cluster).call(clusterRoutes.simulate, { query }, signal);
    judge(config, body);
    return {
      ...config,
      served: body.served,
      chosen: body.chosen ?? null,
      capacity_left: body.capacityLeft,
      places: body.places.map((place) => ({
        cluster: place.cluster,
        region: place.region,
        lost: place.lost,
        endpoints_ready: place.endpointsReady,
        endpoints_unknown: place.endpointsUnknown ?? 0,
        endpoints_total: place.endpointsTotal,
        load_share_before: place.loadShareBefore,
        load_share_after: place.loadShareAfter,
      })),
    };
  },
};

function listed(field: "lostRegions" | "lostClusters", value: CtyObject[string] | undefined): { readonly [name: string]: string } {
  const names = Array.isArray(value) ? value.filter((name): name is string => typeof name === "string") : [];
  return names.length === 0 ? {} : { [field]: names.join(",") };
}

/** @throws {ATOLL_SIMULATION_REFUSED} for what would cut the service off, or leave less of it than is asked for. */
function judge(config: CtyObject, { service, served, callerLost, capacityLeft, places }: SimulationAnswer): void {
  const minimum = config["capacity_left_min"];
  if (typeof minimum === "number" && (minimum < 0 || minimum > 1)) throw new AtollError("ATOLL_REQUEST_INVALID", `capacity_left_min: found ${minimum}, expected 0 to 1`, { details: { attribute: "capacity_left_min" } });
  const left = places.filter((place) => !place.lost).map((place) => `${place.cluster} ${place.endpointsReady} of ${place.endpointsTotal} ready${(place.endpointsUnknown ?? 0) === 0 ? "" : `, ${place.endpointsUnknown} unknown`}`);
  const words = left.length === 0 ? "no place is left" : `left: ${left.join(", ")}`;
  if (!served && config["may_be_cut_off"] !== true) {
    throw new AtollError("ATOLL_SIMULATION_REFUSED", `${service} would be cut off: ${callerLost ? "its callers are in what is lost" : words}`, { details: { attribute: "service" } });
  }
  if (typeof minimum === "number" && capacityLeft < minimum) {
    throw new AtollError("ATOLL_SIMULATION_REFUSED", `${service} would keep ${Math.floor(capacityLeft * 100)} % of its usable instances, less than ${Math.round(minimum * 100)} %; ${words}`, { details: { attribute: "capacity_left_min" } });
  }
}
