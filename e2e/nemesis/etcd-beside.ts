import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { findTestEngine } from "../contract/test-engines.ts";
import { findFreePort } from "#services/cli/engines/start-engine.ts";
import type { World } from "./world.ts";

/** The words by which `atoll up` starts a member of an etcd. */
export function etcdWords({ federation }: World, member: string): readonly string[] {
  return readFileSync(join(federation.directoryOf(member), "arguments"), "utf8").split("\n").filter((word) => word !== "");
}

/** `words` with other values for some of their flags, and flags that were not among them. Pure. */
export function changedWords(words: readonly string[], changes: Readonly<Record<string, string>>): readonly string[] {
  const kept = words.filter((word) => !Object.keys(changes).some((flag) => word === flag || word.startsWith(`${flag}=`)));
  return [...kept, ...Object.entries(changes).map(([flag, value]) => `${flag}=${value}`)];
}

/** Runs an etcd beside those of the supervisor; ends with the world at the latest. */
export async function spawnEtcd(world: World, words: readonly string[], logFile: string): Promise<ChildProcess> {
  const program = await findTestEngine("etcd");
  if (program === undefined) throw new Error("there is no etcd here");
  return world.spawn(program, words, { logFile, env: {} });
}

/** The flags of a member that stands alone at free ports, over a copied directory of one that had peers perhaps; and where it is reached. */
export async function aloneAt(dataDir: string): Promise<{ readonly changes: Readonly<Record<string, string>>; readonly endpoint: string }> {
  const [client, peer] = [await findFreePort("127.0.0.1"), await findFreePort("127.0.0.1")];
  const [endpoint, peerUrl] = [`https://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  const changes = { "--data-dir": dataDir, "--listen-client-urls": endpoint, "--advertise-client-urls": endpoint, "--listen-peer-urls": peerUrl, "--initial-advertise-peer-urls": peerUrl, "--force-new-cluster": "true" };
  return { changes, endpoint };
}
