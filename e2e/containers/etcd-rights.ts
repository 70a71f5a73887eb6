import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A certificate with its key, as files that a machine's programs see. */
export interface EtcdCaller {
  readonly certificate: string;
  readonly privateKey: string;
}

/** What somebody may do with the keys below a prefix: "done", "refused", or what went wrong else. */
export interface EtcdRights {
  readonly read: string;
  readonly write: string;
}

export const allowed: EtcdRights = { read: "done", write: "done" };
export const refused: EtcdRights = { read: "refused", write: "refused" };

/** A cluster's plane, in its own container. */
export function planeOf(cluster: string): EtcdCaller {
  const file = `/var/lib/atoll/${cluster}-plane/plane/svid.pem`;
  return { certificate: file, privateKey: file };
}

/** The engines of a machine, in any container of its programs. */
export const engine: EtcdCaller = { certificate: "/etc/atoll/tls/engine.pem", privateKey: "/etc/atoll/tls/engine.key" };

// Deletes what is not there, which takes the right to write and changes nothing.
const tries = `
const { readFileSync } = require("node:fs");
const { Etcd3 } = require("etcd3");
const { certificate, privateKey, endpoint, prefixes } = JSON.parse(process.argv[1]);
const client = new Etcd3({ hosts: endpoint, credentials: { rootCertificate: readFileSync("/etc/atoll/tls/ca.pem"), privateKey: readFileSync(privateKey), certChain: readFileSync(certificate) } });
const outcome = (done) => done.then(() => "done", ({ message }) => (/permission denied|user not found|user name not found/.test(message) ? "refused" : message));
(async () => {
  const rights = [];
  for (const prefix of prefixes) {
    const key = Buffer.from(prefix + "/of-no-use");
    rights.push({ read: await outcome(client.kv.range({ key })), write: await outcome(client.kv.deleteRange({ key })) });
  }
  client.close();
  console.log(JSON.stringify(rights));
})();
`;

/** What `caller` may do in the etcd at `endpoint` below each of `prefixes`, asked from a container of Atoll's image on a machine with engines. */
export async function etcdRights(container: string, caller: EtcdCaller, endpoint: string, prefixes: readonly string[]): Promise<readonly EtcdRights[]> {
  const { stdout } = await run("docker", ["exec", container, "node", "--eval", tries, JSON.stringify({ ...caller, endpoint, prefixes })]);
  return JSON.parse(stdout) as readonly EtcdRights[];
}
