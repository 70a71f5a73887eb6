import type { HttpFault } from "./http-fault.ts";
import type { HttpLimits } from "./http-limits.ts";

/** The limit that each fault is about which is one of size, and not of form. */
const limitsOfFaults = {
  extension_too_large: "extensionBytesMax",
  head_too_large: "headBytesMax",
  target_too_long: "targetBytesMax",
  too_many_fields: "fieldsMax",
  trailers_too_large: "trailerBytesMax",
} as const satisfies Partial<Record<HttpFault, keyof HttpLimits>>;

type BoundFault = keyof typeof limitsOfFaults;

/** How a proxy's configuration names what can be changed, by the fault; chunk extensions have a fixed bound. */
const settings: ReadonlyMap<string, string> = new Map<BoundFault, string>([
  ["head_too_large", "limits.headBytes"],
  ["target_too_long", "limits.targetBytes"],
  ["too_many_fields", "limits.fields"],
  ["trailers_too_large", "limits.trailerBytes"],
]);

/** What stands before the fault of a response, which the client has not made. */
const ofUpstream = "upstream_";

/** True for a fault that says how large a message may be: the one who sent it has broken no rule but ours. */
export function isBoundFault(fault: HttpFault | undefined): fault is BoundFault {
  return fault !== undefined && Object.hasOwn(limitsOfFaults, fault);
}

/** The reason to give for a request with this fault: its name, and where it is about a bound, how much that is: `head_too_large; max=65536`. */
export function faultReason(fault: HttpFault, limits: HttpLimits): string {
  return isBoundFault(fault) ? `${fault}; max=${limits[limitsOfFaults[fault]]}` : fault;
}

/** The same for a response. */
export function upstreamFaultReason(fault: HttpFault, limits: HttpLimits): string {
  return ofUpstream + faultReason(fault, limits);
}

/** The word that a reason begins with, by which it is known; the rest are figures. */
export function reasonWord(reason: string): string {
  const end = reason.indexOf(";");
  return end < 0 ? reason : reason.slice(0, end);
}

/** What to change so that a message refused for this reason passes, as a line of text; empty for every other reason. */
export function boundAdvice(reason: string): string {
  const word = reasonWord(reason);
  const isOfUpstream = word.startsWith(ofUpstream);
  const setting = settings.get(isOfUpstream ? word.slice(ofUpstream.length) : word);
  return setting === undefined ? "" : `The ${isOfUpstream ? "response" : "request"} is beyond this bound; ${setting} in the configuration of the sidecars on its way raises it.\n`;
}
