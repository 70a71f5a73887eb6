import { once } from "node:events";
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Transform } from "node:stream";

/** A way to one TCP port that can be cut under those who use it, and healed: to both ends each connection is reset. */
export class TestLink implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(host: string, port: number, bytesPerSecond: number) {
    this.#server = createServer((near) => {
      if (this.#isCut) {
        near.resetAndDestroy();
        return;
      }
      const far = createConnection({ host, port });
      for (const [from, to] of [[near, far], [far, near]] as const) {
        this.#sockets.add(from);
        (Number.isFinite(bytesPerSecond) ? from.pipe(narrow(bytesPerSecond)) : from).pipe(to);
        from.on("error", () => to.resetAndDestroy());
        from.once("close", () => void this.#sockets.delete(from));
      }
    });
  }

  /** Leads to `port` of `host`, each way of each connection with so many bytes a second at most. */
  static async open(host: string, port: number, { bytesPerSecond = Number.POSITIVE_INFINITY } = {}): Promise<TestLink> {
    const link = new TestLink(host, port, bytesPerSecond);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Passes a piece on, and takes the next when the time that it takes is over. */
function narrow(bytesPerSecond: number): Transform {
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      this.push(piece);
      setTimeout(done, (piece.length * 1_000) / bytesPerSecond);
    },
  });
}
