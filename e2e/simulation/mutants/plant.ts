import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { editsOf, withEdit, type Mutant } from "./mutant.ts";

/** The project's root, as a URL that ends with a slash. */
export const root = new URL("../../../", import.meta.url);

/** The sources that `mutant` changes, with the bug in them, by their URLs. @throws what `withEdit` throws */
export function plantedSources(mutant: Mutant): ReadonlyMap<string, string> {
  const sources = new Map<string, string>();
  for (const edit of editsOf(mutant)) {
    const url = new URL(edit.file, root);
    sources.set(url.href, withEdit(sources.get(url.href) ?? readFileSync(url, "utf8"), edit, mutant.name));
  }
  return sources;
}

/** From here on this process reads the mutant's files with the bug in them; nothing may have imported them yet. @throws what `withEdit` throws */
export function plant(mutant: Mutant): void {
  const sources = plantedSources(mutant);
  registerHooks({
    load: (url, context, nextLoad) => {
      const source = sources.get(url);
      return source === undefined ? nextLoad(url, context) : { format: "module-typescript", source, shortCircuit: true };
    },
  });
}
