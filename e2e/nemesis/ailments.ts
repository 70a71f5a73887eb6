import { describeError } from "#federation/runtime/errors.ts";
import type { Register, Sighting } from "./history.ts";

/** Something that is not as it should be, and that passes by itself in a second or two when all is well. */
export interface Ailment {
  /** A sentence; the same one as long as it is the same ailment. */
  readonly what: string;
  /** Whom it is about: `atoll check` has to name one of them when it lasts. */
  readonly planes: readonly string[];
  /** More of it, which may be another each time, for whoever looks into it. */
  readonly detail?: string;
}

/** What one look at every plane gave, or why it gave nothing. */
export type Look = ReadonlyMap<string, Sighting | Error>;

/** Planes that do not answer, and whatever a plane shows otherwise than its origin does. Pure. */
export function ailmentsOf(look: Look, registers: readonly Register[]): readonly Ailment[] {
  const silent = [...look].flatMap(([plane, sighting]) => (sighting instanceof Error ? [{ what: `${plane} does not show what it holds`, planes: [plane], detail: describeError(sighting) }] : []));
  const differing = registers.flatMap(({ id, origin, audience }) =>
    audience.flatMap((plane) => {
      const [own, other] = [look.get(origin), look.get(plane)];
      if (own === undefined || other === undefined || own instanceof Error || other instanceof Error) return [];
      const [offered, held] = [own, other].map(({ values }) => values.get(id)?.value ?? 0);
      return offered === held ? [] : [{ what: `${plane} holds version ${held} of ${id}, and ${origin} offers ${offered}`, planes: [plane, origin] }];
    }),
  );
  return [...silent, ...differing];
}

/** Since when each ailment has been there, without a look in which it was not. */
export class AilmentLog {
  readonly #sinceMs = new Map<string, { readonly ailment: Ailment; readonly sinceMs: number }>();

  /** Takes in all that there is at `nowMs`; what is not among it has passed. */
  observe(ailments: readonly Ailment[], nowMs: number): void {
    const present = new Set(ailments.map(({ what }) => what));
    for (const what of this.#sinceMs.keys()) if (!present.has(what)) this.#sinceMs.delete(what);
    for (const ailment of ailments) this.#sinceMs.set(ailment.what, { ailment, sinceMs: this.#sinceMs.get(ailment.what)?.sinceMs ?? nowMs });
  }

  /** Those that have been there since `untilMs` at least. */
  since(untilMs: number): readonly Ailment[] {
    return [...this.#sinceMs.values()].filter(({ sinceMs }) => sinceMs <= untilMs).map(({ ailment }) => ailment);
  }
}

/**
 * What `atoll check` finds wrong, line by line, without what is so in every run: nothing runs behind the exports of the workload.
 * A command that could not ask anybody says so on standard error, which counts.
 */
export function findingsIn({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): readonly string[] {
  return `${stdout}\n${stderr}`.split("\n").filter((line) => /^(wrong|error) /.test(line) && !line.includes("has no ready instance"));
}

/** Those of `ailments` about whose planes no finding says anything. Pure. */
export function unnamed(ailments: readonly Ailment[], findings: readonly string[]): readonly Ailment[] {
  return ailments.filter(({ planes }) => !planes.some((plane) => findings.some((finding) => new RegExp(`(?<![\\w-])${plane}(?![\\w-])`).test(finding))));
}
