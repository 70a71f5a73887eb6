import { clusterRoutes, type BundleRow } from "#federation/admin-api/plane-routes.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { withFederation } from "./federation.ts";

/**
 * `atoll trust bundle show TRUST-DOMAIN`: the document alone goes to standard output, as its signer's plane has it, or that of `cluster`.
 * @throws {ATOLL_NOT_FOUND} when that plane knows none of it.
 */
export async function runBundleShow(context: CommandContext, trustDomain: string, { cluster }: { readonly cluster?: string }): Promise<number> {
  const { row, plane } = await withFederation(context, async ({ planes }) => {
    const asked = cluster ?? planes.signerOf(trustDomain);
    const { items } = (await planes.cluster(asked).call(clusterRoutes.bundles, {}, context.signal)).body;
    const found = items.find((item) => item.trustDomain === trustDomain);
    if (found === undefined) throw new AtollError("ATOLL_NOT_FOUND", `the plane of ${asked} has no bundle of ${trustDomain}: it has those of ${items.map((item) => item.trustDomain).join(", ")}`);
    return { row: found, plane: asked };
  });
  if (printData(context, { ...row, plane })) return 0;
  context.terminal.print(row.document);
  context.terminal.note(originWords(row, plane));
  return 0;
}

/** Where a bundle comes from, for people. Pure. */
export function originWords({ trustDomain, sequence, from, heardAgeMs }: BundleRow, plane: string): string {
  const told = `The bundle of ${trustDomain}, sequence ${sequence}, as the plane of ${plane} has it`;
  if (from === "signer") return `${told} from its signer.`;
  if (from === "bundleEndpoint") return `${told} from the domain's own bundle endpoint, or by hand: trust bundle list says which and when.`;
  return `${told} through the global plane, ${heardAgeMs === undefined ? "which it has not heard since it started" : `heard ${describeAge(heardAgeMs)} ago`}.`;
}
