import { isCollection, isMap, isNode, isPair, isScalar, LineCounter, parseAllDocuments, type Document, type Node } from "yaml";
import { resourceId, type Resource } from "../resource.ts";
import { faultsMax, formatFault, wholeFault, type Fault } from "./fault.ts";
import { parseResource } from "./parse-resource.ts";

/** A fault with its place in a file; line and column count from 1. */
export interface FileFault extends Fault {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A resource with the place where its document begins. */
export interface FileResource {
  readonly resource: Resource;
  readonly file: string;
  readonly line: number;
}

export type YamlOutcome = { readonly kind: "parsed"; readonly resources: readonly FileResource[] } | { readonly kind: "faults"; readonly faults: readonly FileFault[] };

/** Bounds of one file: its text, its documents, and how many nodes its aliases may stand for. */
export const yamlLimits = { characters: 4 * 1024 * 1024, documents: 2_000, aliases: 100 } as const;

/** `file:line:column: path: found …, expected …`. */
export function formatFileFault(fault: FileFault): string {
  return `${fault.file}:${fault.line}:${fault.column}: ${formatFault(fault)}`;
}

/**
 * Reads every resource of a YAML file (or JSON, which is YAML) of one or more documents; empty documents are skipped.
 * Answers all resources, or all faults of all documents, at most `faultsMax`, in the file's order. `file` only names it.
 */
export function parseYaml(text: string, file: string): YamlOutcome {
  const place = { file, line: 1, column: 1 };
  const refuse = (fault: Fault): YamlOutcome => ({ kind: "faults", faults: [{ ...fault, ...place }] });
  if (text.length > yamlLimits.characters) return refuse(wholeFault(`${text.length} characters`, `at most ${yamlLimits.characters}`));
  const lines = new LineCounter();
  let documents: readonly Document[];
  try {
    // `lineCounter` fills while parsing; `prettyErrors` would put the place into the message a second time.
    documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, version: "1.2", schema: "core" }) as readonly Document[];
  } catch (error) {
    // Nesting deep enough to exhaust the parser's stack.
    return refuse(wholeFault(error, "YAML that is not nested so deeply"));
  }
  if (documents.length > yamlLimits.documents) return refuse(wholeFault(`${documents.length} documents`, `at most ${yamlLimits.documents}`));
  return combine(documents.map((document) => readDocument(document, file, lines)).filter((outcome) => outcome !== undefined), file);
}

type DocumentOutcome = { readonly kind: "faults"; readonly faults: readonly FileFault[] } | ({ readonly kind: "resource"; readonly column: number } & FileResource);

function readDocument(document: Document, file: string, lines: LineCounter): DocumentOutcome | undefined {
  const at = (offset: number): { readonly file: string; readonly line: number; readonly column: number } => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  // One slip makes the parser complain several times of one place; the first complaint is the telling one.
  const problems = [...new Map([...document.warnings, ...document.errors].reverse().map((problem) => [problem.pos[0], problem])).values()].reverse();
  if (problems.length > 0) {
    return { kind: "faults", faults: problems.map((problem) => ({ ...wholeFault(problem, yamlExpectation(problem.code)), ...at(problem.pos[0]) })) };
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return undefined;
  const start = at(offsetOf(root) ?? 0);
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: yamlLimits.aliases });
  } catch (error) {
    return { kind: "faults", faults: [{ ...wholeFault(error, "aliases that exist and stand for little"), ...start }] };
  }
  const outcome = parseResource(data);
  if (outcome.kind === "parsed") return { kind: "resource", resource: outcome.value, ...start };
  return { kind: "faults", faults: outcome.faults.map((fault) => ({ ...fault, ...at(offsetOfFault(root, fault)) })) };
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

/** The offset of what a fault speaks of, or of the nearest thing around it when it is missing. */
function offsetOfFault(root: Node, fault: Fault): number {
  let node: unknown = root;
  let offset = offsetOf(root) ?? 0;
  for (const [index, segment] of fault.segments.entries()) {
    if (!isCollection(node)) break;
    const isLast = index === fault.segments.length - 1;
    const pair: unknown = isMap(node) ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment)) : undefined;
    const key = isPair(pair) ? pair.key : undefined;
    if (fault.onKey && isLast) return offsetOf(key) ?? offset;
    const next: unknown = node.get(segment, true);
    offset = offsetOf(isCollection(next) && isPair(pair) ? key : next) ?? offsetOf(key) ?? offset;
    if (next === undefined || next === null) break;
    node = next;
  }
  return offset;
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function yamlExpectation(code: string): string {
  return code === "DUPLICATE_KEY" ? "each key once" : "YAML 1.2";
}

/** The error text of a fault list, one line each. */
export function formatFileFaults(faults: readonly FileFault[]): string {
  return faults.map(formatFileFault).join("\n");
}
