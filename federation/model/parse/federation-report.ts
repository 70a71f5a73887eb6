import { defaultNamespace } from "./federation-defaults.ts";
import type { FederationDocument } from "./federation-schema.ts";

/** A way into a federation's document, below its `spec`. */
export type Segments = readonly (string | number)[];
/** Takes a fault: where it is, what is there, and what should be. */
export type Report = (segments: Segments, found: string, expected: string) => void;

/** Reports a name that nothing in the file has. */
export function expectKnown(segments: Segments, what: string, name: string, known: readonly string[], report: Report): void {
  if (!known.includes(name)) report(segments, `${what} ${JSON.stringify(name)}, which is not declared`, known.length === 0 ? `a ${what} that is` : `one of ${known.join(", ")}`);
}

/** Namespace and name of every service of a file, those of several trust domains once for each. Pure. */
export function serviceIds({ spec }: FederationDocument): readonly string[] {
  return (spec.services ?? []).map(({ namespace = defaultNamespace, name }) => `${namespace}/${name}`);
}

/** Names of a file's regions, in its order. Pure. */
export function regionNames({ regions }: FederationDocument["spec"]): readonly string[] {
  return regions.map(({ name }) => name);
}
