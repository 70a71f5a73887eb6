import { once } from "node:events";
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";

/** `cut` resets and refuses connections; a held direction takes bytes and passes none on until the link is open again, as a network without an answer does. */
export type LinkState = "open" | "cut" | "held" | "held-out" | "held-in";

/** Connections that may wait to be taken: thousands of proxies come by one link, at once. */
const waitingMax = 4_096;

/** The way of one plane to one server of the bus, byte for byte, which can be cut or held in either direction. */
export class BusLink implements AsyncDisposable {
  readonly #server: Server;
  /** Every open connection: the plane's end, and the bus's. */
  readonly #pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  #state: LinkState = "open";

  private constructor(target: NetConnectOpts) {
    this.#server = createServer((near) => this.#join(near, target));
  }

  /** Leads from `listenAt` (a port of 127.0.0.1, 0 for any, or a socket's path) to `target`. */
  static async open(target: NetConnectOpts, listenAt: string | 0): Promise<BusLink> {
    const link = new BusLink(target);
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
    this.#state = state;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.become("cut");
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(near: Socket, target: NetConnectOpts): void {
    if (this.#state === "cut") {
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

  #apply({ near, far }: { readonly near: Socket; readonly far: Socket }): void {
    if (this.#state === "cut") {
      near.destroy();
      far.destroy();
      return;
    }
    flow(near, this.#state !== "held" && this.#state !== "held-out");
    flow(far, this.#state !== "held" && this.#state !== "held-in");
  }
}

function flow(socket: Socket, isOpen: boolean): void {
  if (isOpen) socket.resume();
  else socket.pause();
}
