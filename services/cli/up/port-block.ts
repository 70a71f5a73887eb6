import { createServer } from "node:net";
import { AtollError } from "#federation/runtime/errors.ts";
import { portOwner } from "#federation/runtime/listen.ts";

/**
 * Hands out the ports of one block by name: a name that had a port before has it again, so that what is added to a
 * federation moves nobody else.
 */
export class PortBlock {
  readonly base: number;
  readonly size: number;
  readonly #known: Readonly<Record<string, number>>;
  readonly #reserved: ReadonlySet<number>;
  readonly #taken = new Map<string, number>();
  #next = 0;

  constructor(base: number, size: number, known: Readonly<Record<string, number>> = {}) {
    this.base = base;
    this.size = size;
    this.#known = known;
    this.#reserved = new Set(Object.values(known));
  }

  /** Every port handed out, by its name. */
  get taken(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#taken);
  }

  /** The port of `name`, the same each time. @throws {ATOLL_CONFIG_INVALID} when the block is used up. */
  take(name: string): number {
    const before = this.#taken.get(name) ?? this.#known[name];
    const port = before ?? this.#unused();
    this.#taken.set(name, port);
    return port;
  }

  #unused(): number {
    while (this.#next < this.size) {
      const port = this.base + this.#next++;
      if (!this.#reserved.has(port)) return port;
    }
    throw new AtollError("ATOLL_CONFIG_INVALID", `more than ${this.size} ports are needed; \`atoll down\`, remove the federation's directory, and start it again with more`);
  }
}

/** Below the ephemeral ranges of Linux (32768) and macOS (49152): an outgoing connection never takes one of ours. */
const firstPort = 17_000;
const lastPort = 31_999;

/**
 * The base of `size` ports in a row on which nobody listens. The search begins at a place that depends on `name`,
 * so that two federations started at the same moment do not race for one block.
 * @throws {ATOLL_PORT_TAKEN} when there is none.
 */
export async function findFreeBlock(name: string, size: number): Promise<number> {
  const blocks = Math.floor((lastPort - firstPort + 1) / size);
  const start = hash(name) % blocks;
  for (let step = 0; step < blocks; step++) {
    const base = firstPort + ((start + step) % blocks) * size;
    if ((await firstTaken(base, size)) === undefined) return base;
  }
  throw new AtollError("ATOLL_PORT_TAKEN", `no ${size} free ports in a row between ${firstPort} and ${lastPort}`);
}

/** @throws {ATOLL_PORT_TAKEN} naming the first port of the block that is in use and, where the system tells, by whom. */
export async function checkBlock(base: number, size: number): Promise<void> {
  const taken = await firstTaken(base, size);
  if (taken === undefined) return;
  const owner = portOwner(taken);
  const by = owner === undefined ? "another process" : owner;
  throw new AtollError("ATOLL_PORT_TAKEN", `port ${taken} is in use by ${by}; ports ${base} to ${base + size - 1} are needed`, { details: { port: taken } });
}

/** @throws {ATOLL_PORT_TAKEN} when somebody listens already where `who` is to listen. */
export async function checkPort(port: number, who: string): Promise<void> {
  if (await isFree(port)) return;
  throw new AtollError("ATOLL_PORT_TAKEN", `port ${port}, on which ${who} is to listen, is in use by ${portOwner(port) ?? "another process"}`, { details: { port } });
}

/** The first port of the block on which somebody listens. */
async function firstTaken(base: number, size: number): Promise<number | undefined> {
  for (let port = base; port < base + size; port++) {
    if (!(await isFree(port))) return port;
  }
  return undefined;
}

/** True when `port` can be listened on at 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** FNV-1a, 32 bit: spreads names, protects nothing. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
