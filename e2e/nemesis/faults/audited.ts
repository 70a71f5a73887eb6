import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Violation, Write } from "../history.ts";
import { processOf } from "../places.ts";
import type { Scene } from "./fault.ts";

/** Sees to it that a plane's audit trail says of every acknowledged write that somebody asked for it, whatever has become of the plane. */
export function expectAudited({ world, writers, onViolation }: Scene, plane: string): void {
  const directory = join(world.federation.directoryOf(processOf(plane)), "audit");
  const lines = readdirSync(directory).flatMap((file) => readFileSync(join(directory, file), "utf8").split("\n"));
  for (const violation of unaudited(lines, writers.get(plane)?.writes ?? [])) onViolation(violation);
}

/** Registers of which more writes were acknowledged than `lines` of an audit trail say were asked for. Pure. */
export function unaudited(lines: readonly string[], writes: readonly Write[]): readonly Violation[] {
  const begun = lines.filter((line) => line.includes('"stage":"begin"'));
  const acknowledged = Map.groupBy(writes.filter(({ outcome }) => outcome === "ok"), ({ register }) => register);
  return [...acknowledged].flatMap(([register, own]) => {
    const name = register.slice(register.indexOf("/"));
    const asked = begun.filter((line) => line.includes(`${name}"`)).length;
    return asked >= own.length ? [] : [{ kind: "lost", register, detail: `${own.length} writes were acknowledged, and the audit trail knows of ${asked}` }];
  });
}
