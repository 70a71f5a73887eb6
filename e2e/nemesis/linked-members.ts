import type { Etcd3 } from "etcd3";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { openAsAdministrator } from "#services/cli/engines/etcd-administrator.ts";
import { engineFiles } from "#services/cli/up/engine-plan.ts";
import { eventually } from "../harness/eventually.ts";
import { etcdWords } from "./etcd-beside.ts";
import { MemberLinks } from "./member-links.ts";
import { etcdsOf } from "./places.ts";
import type { World } from "./world.ts";

const callTimeoutMs = 10_000;
/** Far more than a member takes to be of one mind with the others again, on a busy host. */
const joinedMsMax = 120_000;

/** The members of a plane's etcd behind links, by which they reach each other from now on, and their processes. */
export async function linkedMembers(world: World, plane: string): Promise<{ readonly links: MemberLinks; readonly pids: ReadonlyMap<string, number> }> {
  const names = etcdsOf(plane, world.ground);
  const links = await world.linksOf(plane, () => MemberLinks.lay(names.map((name) => ({ name, peerPort: portIn(world, name, "--listen-peer-urls") }))));
  await joinByLinks(world, names, links);
  const pids = await Promise.all(names.map(async (name) => [name, (await world.federation.view(name)).pid ?? 0] as const));
  return { links, pids: new Map(pids) };
}

/** Tells every member where the others are reached. Each is started again, one at a time: a connection stays where it was made. */
async function joinByLinks(world: World, names: readonly string[], links: MemberLinks): Promise<void> {
  const urlOf = (name: string): string => `https://127.0.0.1:${links.portOf(name)}`;
  const wereStrangers = await asAdministrator(world, names, async ({ cluster }) => {
    const { members } = await cluster.memberList({ linearizable: true });
    // One that was made anew knows the others as it was started.
    const strangers = members.filter(({ name, peerURLs }) => peerURLs.join() !== urlOf(name));
    for (const { ID, name } of strangers) await cluster.memberUpdate({ ID, peerURLs: [urlOf(name)] });
    return strangers.length > 0;
  });
  if (!wereStrangers) return;
  for (const name of names) {
    await world.federation.kill(name);
    await world.federation.start(name);
    const isLed = (): Promise<boolean> => asAdministrator(world, [name], async ({ maintenance }) => (await maintenance.status()).leader !== "0");
    await eventually(`${name} and the others are one etcd`, isLed, joinedMsMax);
  }
}

/** Connections are its own: one to a member that was killed would wait before it is made again. */
async function asAdministrator<T>(world: World, members: readonly string[], work: (client: Etcd3) => Promise<T>): Promise<T> {
  const endpoints = members.map((name) => `https://127.0.0.1:${portIn(world, name, "--listen-client-urls")}`);
  const client = await openAsAdministrator({ endpoints, tls: engineFiles(world.federation.place.dataDir, etcdAdministrator), clock: systemClock, callTimeoutMs });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

function portIn(world: World, member: string, flag: string): number {
  const url = etcdWords(world, member).find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1);
  if (url === undefined) throw new Error(`${member} is started without ${flag}`);
  return Number(new URL(url).port);
}
