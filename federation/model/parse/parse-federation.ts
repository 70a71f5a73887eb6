import type { FederationDescription } from "../federation-description.ts";
import { faultsMax, faultsOf, wholeFault } from "./fault.ts";
import { checkFederation } from "./federation-checks.ts";
import { describeFederation } from "./federation-defaults.ts";
import { federationSchema } from "./federation-schema.ts";
import { readYamlDocuments, type FileFault } from "./yaml-document.ts";

export type FederationOutcome = { readonly kind: "parsed"; readonly value: FederationDescription } | { readonly kind: "faults"; readonly faults: readonly FileFault[] };

/**
 * Reads the file that describes a federation: YAML (or JSON) of one document. Answers the description with every
 * default filled in, or all faults with their places, at most `faultsMax`; what contradicts itself is looked for once each
 * part by itself is as it should be. `file` only names it.
 */
export function parseFederation(text: string, file: string): FederationOutcome {
  const documents = readYamlDocuments(text, file);
  const broken = documents.flatMap((outcome) => (outcome.kind === "faults" ? outcome.faults : []));
  if (broken.length > 0) return refuse(broken);
  const [document, second] = documents;
  if (document === undefined || document.kind === "faults") return refuse([{ ...wholeFault("nothing", "a description of a federation: kind: Federation"), file, line: 1, column: 1 }]);
  if (second?.kind === "document") return refuse([second.locate(wholeFault("a second document", "one federation in a file"))]);
  const result = federationSchema.safeParse(document.data);
  const faults = result.success ? checkFederation(result.data) : faultsOf(result.error, document.data);
  if (result.success && faults.length === 0) return { kind: "parsed", value: describeFederation(result.data) };
  return refuse(faults.map((fault) => document.locate(fault)));
}

function refuse(faults: readonly FileFault[]): FederationOutcome {
  return { kind: "faults", faults: [...faults].sort((a, b) => a.line - b.line || a.column - b.column).slice(0, faultsMax) };
}
