import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { home } from "../harness/test-federation.ts";

const run = promisify(execFile);
/** Debian's packages over a slow line, on a slow disk. */
const buildWithinMs = 900_000;

/** Real etcd, nats-server, nginx and httpbin, as Debian has them; and systemd. */
export const serversImage = "atoll-test-servers:bookworm";
const serverPackages = ["etcd-server", "nats-server", "nginx-light", "python3-httpbin", "gunicorn", "systemd", "systemd-sysv", "dbus"];

/** The images of this working tree and of the commit before it. */
export interface AtollImages {
  readonly current: string;
  readonly previous: string;
}

/** Builds the image of this working tree. @throws Error with the last words of the script */
export function buildAtollImage(): Promise<string> {
  return script("build.sh", "atoll-test:current");
}

/** Builds Atoll's images; what they share is made once. @throws Error with the last words of the script */
export async function buildAtollImages(): Promise<AtollImages> {
  const current = await buildAtollImage();
  return { current, previous: await script("build.sh", "atoll-test:previous", "HEAD~1") };
}

/** Makes the image of the servers around Atoll, unless it is there. */
export async function buildServersImage(): Promise<string> {
  const isThere = await run("docker", ["image", "inspect", serversImage]).then(
    () => true,
    () => false,
  );
  return isThere ? serversImage : script("base.sh", serversImage, ...serverPackages);
}

async function script(name: string, ...args: readonly string[]): Promise<string> {
  await run(`${home}/infra/images/${name}`, args, { cwd: home, timeout: buildWithinMs, maxBuffer: 64 * 1024 * 1024 });
  return args[0] ?? "";
}
