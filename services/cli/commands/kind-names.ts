import type { ResourcePath } from "#federation/admin-api/resource-path.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { isNamedByTrustDomain, kindInfos, kinds, type Kind } from "#federation/model/resource.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";

/** A kind by its name, plural or short name, in any case. @throws {ATOLL_USAGE} naming the kinds there are. */
export function parseKindName(text: string): Kind {
  const wanted = text.toLowerCase();
  const found = kinds.find((kind) => [kind.toLowerCase(), kindInfos[kind].plural, kindInfos[kind].shortName].includes(wanted));
  if (found === undefined) throw new AtollError("ATOLL_USAGE", `there is no kind ${JSON.stringify(text)}; kinds are ${kinds.map((kind) => kindInfos[kind].plural).join(", ")}`);
  return found;
}

/** `namespace/name` or `name`, as the kind has it. @throws {ATOLL_USAGE} */
export function pathFor(kind: Kind, text: string): ResourcePath {
  const parts = text.split("/");
  const [first = "", second] = parts;
  const { namespaced } = kindInfos[kind];
  if (parts.length > 2 || first === "" || second === "" || (second !== undefined) !== namespaced) {
    throw new AtollError("ATOLL_USAGE", `${JSON.stringify(text)}: a ${kind} is named ${namespaced ? "namespace/name" : "name"}`);
  }
  if (isNamedByTrustDomain(kind)) return { name: parseTrustDomainName(first) };
  return second === undefined ? { name: first } : { namespace: first, name: second };
}

/** `KIND/NAME`, the kind by any of its names, e.g. `tp/web/slow`. @throws {ATOLL_USAGE} */
export function parseKindAndName(text: string): { readonly kind: Kind; readonly path: ResourcePath } {
  const [, kindText = "", name = ""] = /^([^/]+)\/(.+)$/.exec(text) ?? [];
  if (name === "") throw new AtollError("ATOLL_USAGE", `${JSON.stringify(text)}: expected KIND/NAME, as in trafficpolicy/web/slow or region/eu-west`);
  const kind = parseKindName(kindText);
  return { kind, path: pathFor(kind, name) };
}
