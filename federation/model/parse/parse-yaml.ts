import { resourceId, type Resource } from "../resource.ts";
import { faultsMax, wholeFault } from "./fault.ts";
import { parseResource } from "./parse-resource.ts";
import { readYamlDocuments, type FileFault, type FilePlace, type YamlDocument } from "./yaml-document.ts";

/** A resource with the place where its document begins. */
export interface FileResource {
  readonly resource: Resource;
  readonly file: string;
  readonly line: number;
}

export type YamlOutcome = { readonly kind: "parsed"; readonly resources: readonly FileResource[] } | { readonly kind: "faults"; readonly faults: readonly FileFault[] };

/**
 * Reads every resource of a YAML file (or JSON, which is YAML) of one or more documents; empty documents are skipped.
 * Answers all resources, or all faults of all documents, at most `faultsMax`, in the file's order. `file` only names it.
 */
export function parseYaml(text: string, file: string): YamlOutcome {
  return combine(readYamlDocuments(text, file).map((outcome) => (outcome.kind === "faults" ? outcome : resourceOf(outcome))), file);
}

type DocumentOutcome = { readonly kind: "faults"; readonly faults: readonly FileFault[] } | ({ readonly kind: "resource"; readonly resource: Resource } & FilePlace);

function resourceOf(document: YamlDocument): DocumentOutcome {
  const outcome = parseResource(document.data);
  if (outcome.kind === "parsed") return { kind: "resource", resource: outcome.value, ...document.start };
  return { kind: "faults", faults: outcome.faults.map((fault) => document.locate(fault)) };
}

/** All faults, those of doubled resources among them, or all resources. */
function combine(outcomes: readonly DocumentOutcome[], file: string): YamlOutcome {
  const faults: FileFault[] = [];
  const resources: FileResource[] = [];
  const seen = new Map<string, number>();
  for (const outcome of outcomes) {
    if (outcome.kind === "faults") {
      faults.push(...outcome.faults);
      continue;
    }
    const { resource, line, column } = outcome;
    const name = `${resource.kind} ${resourceId(resource.metadata)}`;
    const earlier = seen.get(name);
    seen.set(name, line);
    if (earlier === undefined) resources.push({ resource, file, line });
    else faults.push({ ...wholeFault(`${name} a second time`, `it once; the first is at line ${earlier}`), file, line, column });
  }
  if (faults.length === 0) return { kind: "parsed", resources };
  faults.sort((a, b) => a.line - b.line || a.column - b.column);
  return { kind: "faults", faults: faults.slice(0, faultsMax) };
}
