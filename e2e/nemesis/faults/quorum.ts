import type { PlannedFault } from "../fault-plan.ts";
import { etcdsOf } from "../places.ts";
import { IdentityProbe } from "../identity-probe.ts";
import type { Heal, Scene } from "./fault.ts";
import { expectReadsAlone } from "./going-on.ts";
import { haltProcess } from "./halt.ts";

/** Members that are left are too few. */
const lostCount = 2;

/** Two of the three members of a plane's etcd are away: its writes are refused, and it goes on to answer, and to renew identities. */
export async function injectQuorum(scene: Scene, { place, isOther }: PlannedFault): Promise<Heal> {
  const { world } = scene;
  const probe = place === "global" ? undefined : await IdentityProbe.join(world, place);
  const backs: Heal[] = [];
  for (const member of etcdsOf(place, world.ground).slice(0, lostCount)) backs.push(await haltProcess(world, member, isOther));
  const what = `${place}'s etcd has no quorum`;
  return async () => {
    await expectReadsAlone(scene, place, what);
    await probe?.expectRenewed(scene, what);
    for (const back of backs) await back();
  };
}
