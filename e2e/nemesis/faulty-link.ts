import { once } from "node:events";
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";

/** `cut` resets and refuses connections; a held direction takes bytes and passes none on until the link is open again, as a network without an answer does. */
export type LinkState = "open" | "cut" | "held" | "held-out" | "held-in";

/** Connections that may wait to be taken: thousands of proxies come by one link, at once. */
const waitingMax = 4_096;

/** The way to one server, byte for byte, which can be cut or held in either direction: for all who come by it, or for some. */
export class FaultyLink implements AsyncDisposable {
  readonly #server: Server;
  /** Every open connection. */
  readonly #pairs = new Set<Pair>();
  /** Of those whose state is not that of the others. */
  readonly #statesOf = new Map<string, LinkState>();
  readonly #whoIs: (near: Socket) => string | undefined;
  #state: LinkState = "open";

  private constructor(target: NetConnectOpts, whoIs: (near: Socket) => string | undefined) {
    this.#whoIs = whoIs;
    this.#server = createServer((near) => this.#join(near, target));
  }

  /** Leads from `listenAt` (a port of 127.0.0.1, 0 for any, or a socket's path) to `target`; `whoIs` tells those apart who come. */
  static async open(target: NetConnectOpts, listenAt: string | 0, whoIs: (near: Socket) => string | undefined = () => undefined): Promise<FaultyLink> {
    const link = new FaultyLink(target, whoIs);
    if (listenAt === 0) link.#server.listen({ port: 0, host: "127.0.0.1", backlog: waitingMax });
    else link.#server.listen(listenAt);
    await once(link.#server, "listening");
    return link;
  }

  /** Where it listens, when that is a port. */
  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("this link listens on a path");
    return address.port;
  }

  become(state: LinkState): void {
    this.#statesOf.clear();
    this.#state = state;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /** For one of those who come by it alone. */
  becomeFor(who: string, state: LinkState): void {
    this.#statesOf.set(who, state);
    for (const pair of this.#pairs) this.#apply(pair);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.become("cut");
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(near: Socket, target: NetConnectOpts): void {
    if (this.#stateOf(near) === "cut") {
      near.destroy();
      return;
    }
    const pair = { near, far: connect(target) };
    this.#pairs.add(pair);
    for (const [from, to] of [[near, pair.far], [pair.far, near]] as const) {
      from.on("data", (bytes: Buffer) => {
        // The other end takes no more for now: neither may the sender.
        if (!to.write(bytes)) from.pause();
      });
      from.on("drain", () => this.#apply(pair));
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.once("close", () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
    }
    this.#apply(pair);
  }

  /** Who it is may be known later than the connection is made. */
  #stateOf(near: Socket): LinkState {
    const who = this.#statesOf.size === 0 ? undefined : this.#whoIs(near);
    return (who === undefined ? undefined : this.#statesOf.get(who)) ?? this.#state;
  }

  #apply({ near, far }: Pair): void {
    const state = this.#stateOf(near);
    if (state === "cut") {
      near.destroy();
      far.destroy();
      return;
    }
    flow(near, state !== "held" && state !== "held-out");
    flow(far, state !== "held" && state !== "held-in");
  }
}

/** A connection: the end of whoever came by the link, and the server's. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

function flow(socket: Socket, isOpen: boolean): void {
  if (isOpen) socket.resume();
  else socket.pause();
}
