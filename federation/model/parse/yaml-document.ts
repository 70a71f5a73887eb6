import { isCollection, isMap, isNode, isPair, isScalar, LineCounter, parseAllDocuments, type Document, type Node } from "yaml";
import { formatFault, wholeFault, type Fault } from "./fault.ts";

/** A fault with its place in a file; line and column count from 1. */
export interface FileFault extends Fault {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Where something stands in a file. */
export interface FilePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One document of a YAML file: its data, and where what a fault speaks of stands. */
export interface YamlDocument {
  readonly kind: "document";
  readonly data: unknown;
  readonly start: FilePlace;
  locate(fault: Fault): FileFault;
}

export type YamlDocumentOutcome = YamlDocument | { readonly kind: "faults"; readonly faults: readonly FileFault[] };

/** Bounds of one file: its text, its documents, and how many nodes its aliases may stand for. */
export const yamlLimits = { characters: 4 * 1024 * 1024, documents: 2_000, aliases: 100 } as const;

/** `file:line:column: path: found …, expected …`. */
export function formatFileFault(fault: FileFault): string {
  return `${fault.file}:${fault.line}:${fault.column}: ${formatFault(fault)}`;
}

/** The error text of a fault list, one line each. */
export function formatFileFaults(faults: readonly FileFault[]): string {
  return faults.map(formatFileFault).join("\n");
}

/** Reads the documents of a YAML file (or JSON, which is YAML); empty ones are skipped. `file` only names it. */
export function readYamlDocuments(text: string, file: string): readonly YamlDocumentOutcome[] {
  const refuse = (fault: Fault): readonly YamlDocumentOutcome[] => [{ kind: "faults", faults: [{ ...fault, file, line: 1, column: 1 }] }];
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
  return documents.map((document) => readDocument(document, file, lines)).filter((outcome) => outcome !== undefined);
}

function readDocument(document: Document, file: string, lines: LineCounter): YamlDocumentOutcome | undefined {
  const at = (offset: number): FilePlace => {
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
  try {
    const data: unknown = document.toJS({ maxAliasCount: yamlLimits.aliases });
    return { kind: "document", data, start, locate: (fault) => ({ ...fault, ...at(offsetOfFault(root, fault)) }) };
  } catch (error) {
    return { kind: "faults", faults: [{ ...wholeFault(error, "aliases that exist and stand for little"), ...start }] };
  }
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
