import { receivingMutants } from "./receiving-mutants.ts";
import { publishingMutants } from "./publishing-mutants.ts";
import { restoringMutants } from "./restoring-mutants.ts";
import { visibilityMutants } from "./visibility-mutants.ts";
import type { Mutant } from "./mutant.ts";

/** Every bug that the simulation has to catch. */
export const mutants: readonly Mutant[] = [...receivingMutants, ...publishingMutants, ...restoringMutants, ...visibilityMutants];
