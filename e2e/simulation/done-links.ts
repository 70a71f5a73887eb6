import { globalName } from "./cast.ts";
import { doneOf, type Done } from "./done-and-held.ts";
import type { SimulatedCluster, SimulatedGlobal } from "./planes.ts";

/** What one plane knows to be done by another. */
export interface DoneLink {
  readonly publisher: string;
  readonly receiver: string;
  readonly done: Done;
}

/** Of every link whose publisher serves, as of now. */
export function doneLinks(global: SimulatedGlobal, clusters: readonly SimulatedCluster[]): readonly DoneLink[] {
  const { state, links } = global.term ?? {};
  const down = [...(links?.standings ?? [])].map(([receiver, standing]) => ({ publisher: globalName, receiver, done: doneOf({ published: state?.publication.current.objects ?? new Map(), standing }) }));
  const up = clusters.flatMap(({ cast, serving }) => {
    const standing = serving?.standings.get(globalName);
    return standing === undefined ? [] : [{ publisher: cast.name, receiver: globalName, done: doneOf({ published: serving?.own.publication.current.objects ?? new Map(), standing }) }];
  });
  return [...down, ...up];
}
