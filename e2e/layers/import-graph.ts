import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";

/** One TypeScript file with what it imports of ours, as paths from the project's root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const importPattern = /(?:^|\n)\s*(?:import|export)\s[^;"']*?from\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;

/** Reads every .ts file below `folders`; type-only and dynamic imports count like any other. */
export function readSources(root: string, folders: readonly string[]): readonly SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.includes("node_modules"))
      .map((name) => readSource(root, join(folder, name).split(sep).join("/"))),
  );
}

function readSource(root: string, path: string): SourceFile {
  const text = readFileSync(join(root, path), "utf8");
  const imports: string[] = [];
  for (const match of text.matchAll(importPattern)) {
    const target = resolveOwn(path, match[1] ?? match[2] ?? match[3] ?? "");
    if (target !== undefined) imports.push(target);
  }
  return { path, text, imports };
}

/** The path from the root, or undefined for a package or a built-in module. */
function resolveOwn(from: string, specifier: string): string | undefined {
  if (specifier.startsWith("#")) return specifier.slice(1);
  if (specifier.startsWith(".")) return normalize(join(dirname(from), specifier)).split(sep).join("/");
  return undefined;
}

/** The first import circle found, as the list of its files, or undefined. */
export function findCircle(files: readonly SourceFile[]): readonly string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): readonly string[] | undefined => {
    if (done.has(path)) return undefined;
    const start = trail.indexOf(path);
    if (start >= 0) return [...trail.slice(start), path];
    trail.push(path);
    for (const target of byPath.get(path)?.imports ?? []) {
      const circle = visit(target);
      if (circle !== undefined) return circle;
    }
    trail.pop();
    done.add(path);
    return undefined;
  };
  for (const file of files) {
    const circle = visit(file.path);
    if (circle !== undefined) return circle;
  }
  return undefined;
}
