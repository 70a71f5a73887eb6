import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import type { DemoService } from "./demo-process.ts";

/** One delayed way from a listening port to a target. */
export interface RelayLink {
  readonly name: string;
  readonly listen: { readonly address: string; readonly port: number };
  readonly target: { readonly address: string; readonly port: number };
  /** Delay of each direction, ms. */
  readonly oneWayMs: number;
}

/** A process that stands for the wide-area network between regions. */
export interface RelayConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly links: readonly RelayLink[];
}

/** What one direction of one connection may hold in flight: 8 MiB carries about 470 Mbit/s at 140 ms. */
const bytesInFlightMax = 8 * 1024 * 1024;

type Item = { readonly dueMs: number } & ({ readonly kind: "data"; readonly bytes: Buffer } | { readonly kind: "end" } | { readonly kind: "reset" });

/** Starts every link; draining closes them and what runs through them. */
export async function startRelay(config: RelayConfig, clock: Clock): Promise<DemoService> {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const ports: Record<string, number> = {};
  for (const link of config.links) {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => join(near, link, clock, sockets));
    await listen(server, { host: link.listen.address, port: link.listen.port });
    servers.push(server);
    ports[link.name] = portOf(server);
  }
  return {
    ports,
    async drain() {
      const closed = servers.map(closeServer);
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

/**
 * The near side is accepted at once, so the round trip that a handshake over the real distance takes is charged
 * to the first bytes instead: nothing arrives at the far side before accept + 3 × one way, nor a refusal at the
 * near side before accept + 2 × one way.
 */
function join(near: Socket, link: RelayLink, clock: Clock, sockets: Set<Socket>): void {
  const acceptedMs = clock.monotonicMs();
  const far = createConnection({ host: link.target.address, port: link.target.port, allowHalfOpen: true, noDelay: true, autoSelectFamily: false });
  for (const socket of [near, far]) {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  }
  const handshakeMs = acceptedMs + 2 * link.oneWayMs;
  pipe(near, far, { clock, oneWayMs: link.oneWayMs, notBeforeMs: handshakeMs });
  pipe(far, near, { clock, oneWayMs: link.oneWayMs, notBeforeMs: acceptedMs + link.oneWayMs });
}

interface PipeOptions {
  readonly clock: Clock;
  readonly oneWayMs: number;
  readonly notBeforeMs: number;
}

function pipe(source: Socket, target: Socket, options: PipeOptions): void {
  const delayed = new DelayedPipe(source, target, options);
  delayed.follow();
}

/**
 * Bytes, end and reset of `source` reach `target` in order, each `oneWayMs` later. Reading pauses while the bound
 * of bytes in flight is reached; while `target` does not drain, what is due waits in line and counts as in flight.
 */
class DelayedPipe {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #clock: Clock;
  readonly #oneWayMs: number;
  readonly #notBeforeMs: number;
  #queue: Item[] = [];
  #bytes = 0;
  #timer: Disposable | undefined;
  #isBlocked = false;
  #hasEnded = false;

  constructor(source: Socket, target: Socket, options: PipeOptions) {
    this.#source = source;
    this.#target = target;
    this.#clock = options.clock;
    this.#oneWayMs = options.oneWayMs;
    this.#notBeforeMs = options.notBeforeMs;
  }

  follow(): void {
    const source = this.#source;
    const target = this.#target;
    source.on("data", (bytes: Buffer) => this.#onData(bytes));
    source.once("end", () => {
      this.#hasEnded = true;
      this.#push({ kind: "end", dueMs: this.#dueMs() });
    });
    source.on("error", () => {
      // What went wrong is passed on by the close that follows: without an end before it, it is a reset.
    });
    source.once("close", () => {
      // A close without an end is a reset or a refused connection; so is one with an error after the end.
      if (!this.#hasEnded || source.errored !== null) this.#push({ kind: "reset", dueMs: this.#dueMs() });
    });
    target.on("drain", () => {
      this.#isBlocked = false;
      this.#pump();
    });
    target.once("close", () => this.#timer?.[Symbol.dispose]());
  }

  #dueMs(): number {
    return Math.max(this.#clock.monotonicMs(), this.#notBeforeMs) + this.#oneWayMs;
  }

  #onData(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes >= bytesInFlightMax) this.#source.pause();
    this.#push({ kind: "data", bytes, dueMs: this.#dueMs() });
  }

  #push(item: Item): void {
    this.#queue.push(item);
    if (this.#queue.length === 1) this.#arm(item.dueMs);
  }

  #arm(dueMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#clock.schedule(Math.max(0, dueMs - this.#clock.monotonicMs()), () => this.#pump());
  }

  #pump(): void {
    const nowMs = this.#clock.monotonicMs();
    let done = 0;
    for (const item of this.#queue) {
      // Timers fire up to a millisecond early against the clock; half of one is near enough to being due.
      if (this.#isBlocked || item.dueMs > nowMs + 0.5) break;
      done++;
      this.#deliver(item);
    }
    if (done > 0) this.#queue = this.#queue.slice(done);
    if (this.#bytes < bytesInFlightMax / 2 && this.#source.isPaused()) this.#source.resume();
    const [next] = this.#queue;
    if (next !== undefined && !this.#isBlocked) this.#arm(next.dueMs);
  }

  #deliver(item: Item): void {
    if (item.kind === "data") this.#bytes -= item.bytes.length;
    if (this.#target.destroyed) return;
    if (item.kind === "data") this.#isBlocked = !this.#target.write(item.bytes);
    else if (item.kind === "end") this.#target.end();
    else this.#target.resetAndDestroy();
  }
}
