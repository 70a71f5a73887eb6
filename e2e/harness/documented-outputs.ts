import { readFileSync } from "node:fs";
import { join } from "node:path";

const home = join(import.meta.dirname, "..", "..");

/** What commands print by a page of docs: its blocks of plain text under the heading `section`, in their order. @throws Error without such a heading */
export function documentedOutputs(page: string, section: string): readonly string[] {
  const [, found] = readFileSync(join(home, page), "utf8").split(`\n## ${section}\n`);
  if (found === undefined) throw new Error(`${page} has no section "${section}"`);
  const [text = ""] = found.split("\n## ");
  return [...text.matchAll(/^```text\n(.*?)^```$/gms)].map(([, block = ""]) => block);
}

/** The paragraphs of a documented output that were not printed. How lines are broken does not count, and a page may leave out whole paragraphs. */
export function paragraphsNotIn(printed: string, documented: string): readonly string[] {
  const said = inOneLine(printed);
  return documented.split(/\n{2,}/).map(inOneLine).filter((paragraph) => !said.includes(paragraph));
}

function inOneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}
