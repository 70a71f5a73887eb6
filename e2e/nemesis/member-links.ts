import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { FaultyLink } from "./faulty-link.ts";

/** A member of an engine, and where it listens for its peers on 127.0.0.1. */
export interface LinkedMember {
  readonly name: string;
  readonly peerPort: number;
}

/**
 * The ways between the members of one engine. One member can be cut from all others, in silence, as a network that falls in two does it:
 * clients reach every member as before.
 */
export class MemberLinks implements AsyncDisposable {
  readonly #links = new Map<string, FaultyLink>();
  /** Of members, from when it is asked who comes by a link. */
  #pids: ReadonlyMap<string, number> = new Map();

  private constructor() {}

  /** Lays one link before each member, by which the others have to be told to reach it. */
  static async lay(members: readonly LinkedMember[]): Promise<MemberLinks> {
    const laid = new MemberLinks();
    const whoIs = (near: Socket): string | undefined => [...laid.#pids].find(([, pid]) => isOf(pid, near))?.[0];
    for (const { name, peerPort } of members) laid.#links.set(name, await FaultyLink.open({ host: "127.0.0.1", port: peerPort }, 0, whoIs));
    return laid;
  }

  /** Where others reach a member. */
  portOf(name: string): number {
    return this.#linkTo(name).port;
  }

  /** Nothing passes between `name` and any other member, whichever of them made the connection; `pids` are those of all. */
  split(name: string, pids: ReadonlyMap<string, number>): void {
    this.#pids = pids;
    for (const [target, link] of this.#links) {
      if (target === name) link.become("held");
      else link.becomeFor(name, "held");
    }
  }

  heal(): void {
    for (const link of this.#links.values()) link.become("open");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links.values()) await link[Symbol.asyncDispose]();
  }

  #linkTo(name: string): FaultyLink {
    const link = this.#links.get(name);
    if (link === undefined) throw new Error(`no member is named ${name}`);
    return link;
  }
}

/** Whether the other end of `near` belongs to the process, as Linux says it. */
function isOf(pid: number, near: Socket): boolean {
  const { remotePort = 0, localPort = 0 } = near;
  const ends = `0100007F:${hexOf(remotePort)} 0100007F:${hexOf(localPort)} `;
  const line = readFileSync("/proc/net/tcp", "latin1").split("\n").find((row) => row.includes(ends));
  const inode = line?.trim().split(/\s+/)[inodeColumn];
  return inode !== undefined && socketsOf(pid).includes(`socket:[${inode}]`);
}

/** Of a socket, in a row of /proc/net/tcp. @see proc_pid_net(5) */
const inodeColumn = 9;

function hexOf(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}

/** Where the descriptors of a process lead; none of one that has ended. */
function socketsOf(pid: number): readonly string[] {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).map((descriptor) => linkOf(join(directory, descriptor)));
  } catch {
    return [];
  }
}

/** Nowhere, for one that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
