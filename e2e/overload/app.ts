import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import { adoptSocket } from "#proxy/http/adopt-socket.ts";
import { answerBytes } from "../bench/shape.ts";
import { LoadConnection } from "../bench/load-connection.ts";

/** An application with so many workers, each of whom works for so long on a request. It refuses nothing: what finds no worker waits, first come, first served. */
export interface AppConfig {
  readonly port: number;
  /** 0: as many as there are requests. */
  readonly workers: number;
  readonly workMs: number;
  /** What a worker asks for when it has worked, through its sidecar's outbound port; the answer's status is passed on. */
  readonly next?: { readonly port: number; readonly host: string };
}

/** Below this path an application answers for itself, at once: its probe, and what a measure asks or tells it. */
const controlPrefix = "/control/";
const readinessPath = "/healthz";

/** What is read is used up before the next read, so that all connections share it: beside the load an application must not be what is short. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

interface Work {
  readonly socket: Socket;
}

/** Serves HTTP/1.1 as its own sidecar speaks it: requests without bodies, one at a time on a connection. */
export class OverloadApp {
  readonly #config: AppConfig;
  readonly #clock: Clock;
  readonly #nextHead: Buffer;
  readonly #nextIdle: LoadConnection<(status: number) => void>[] = [];
  #queue: Work[] = [];
  #busy = 0;
  #requests = 0;
  #fails = false;

  private constructor(config: AppConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#nextHead = Buffer.from(`GET /load HTTP/1.1\r\nHost: ${config.next?.host ?? ""}\r\n\r\n`);
  }

  /** Resolves when it listens. */
  static async open(config: AppConfig, clock: Clock): Promise<Server> {
    const app = new OverloadApp(config, clock);
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => app.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port: config.port, host: "127.0.0.1", backlog: 4_096 }, resolve);
    });
    return server;
  }

  #accept(accepted: Socket): void {
    let text = "";
    const socket = adoptSocket(accepted, {
      buffer: readBuffer,
      callback: (length) => {
        text += readBuffer.toString("latin1", 0, length);
        const end = text.indexOf("\r\n\r\n");
        if (end === -1) return true;
        const path = text.slice(text.indexOf(" ") + 1, text.indexOf(" HTTP/"));
        text = text.slice(end + 4);
        this.#onRequest(socket, path);
        return true;
      },
    });
    socket.on("error", () => socket.destroy());
    // It was made to stay open when its other side ends, and nobody asks then.
    socket.on("end", () => socket.destroy());
  }

  #onRequest(socket: Socket, path: string): void {
    if (path === readinessPath) answer(socket, 200, "");
    else if (path.startsWith(controlPrefix)) answer(socket, 200, this.#control(path.slice(controlPrefix.length)));
    else {
      this.#requests++;
      if (this.#config.workers > 0 && this.#busy >= this.#config.workers) this.#queue.push({ socket });
      else this.#begin(socket);
    }
  }

  /** `fail` makes every answer a 503 from now on, `heal` ends that; all say how many requests have come. */
  #control(word: string): string {
    if (word === "fail") this.#fails = true;
    if (word === "heal") this.#fails = false;
    return String(this.#requests);
  }

  #begin(socket: Socket): void {
    this.#busy++;
    if (this.#config.workMs === 0) this.#proceed(socket);
    else this.#clock.schedule(this.#config.workMs, () => this.#proceed(socket));
  }

  #proceed(socket: Socket): void {
    if (this.#config.next === undefined || this.#fails) {
      this.#end(socket, this.#fails ? 503 : 200);
      return;
    }
    const end = (status: number): void => {
      socket.off("close", leave);
      this.#end(socket, status);
    };
    const connection = this.#callNext(end);
    // Who asked has left: so does this worker.
    const leave = (): void => {
      connection.close();
      this.#end(socket, 503);
    };
    socket.once("close", leave);
  }

  #callNext(onStatus: (status: number) => void): LoadConnection<(status: number) => void> {
    let connection = this.#nextIdle.pop();
    while (connection !== undefined && !connection.isOpen) connection = this.#nextIdle.pop();
    connection ??= new LoadConnection<(status: number) => void>(this.#config.next?.port ?? 0, {
      onAnswer: (answered, onEnd, status) => {
        this.#nextIdle.push(answered);
        onEnd(status);
      },
      onClosed: (_, onEnd) => onEnd?.(502),
    });
    connection.send(this.#nextHead, onStatus);
    return connection;
  }

  #end(socket: Socket, status: number): void {
    this.#busy--;
    answer(socket, status, body);
    if (this.#queue.length === 0) return;
    // Nobody begins work for a connection that is gone; work that has begun is done to its end.
    const at = this.#queue.findIndex((work) => !work.socket.destroyed);
    const [next] = at === -1 ? [] : this.#queue.slice(at, at + 1);
    this.#queue = at === -1 ? [] : this.#queue.slice(at + 1);
    if (next !== undefined) this.#begin(next.socket);
  }
}

const body = "x".repeat(answerBytes);
const goodAnswer = Buffer.from(answerOf(200, body), "latin1");

function answer(socket: Socket, status: number, text: string): void {
  if (socket.destroyed) return;
  if (status === 200 && text === body) socket.write(goodAnswer);
  else socket.write(answerOf(status, text), "latin1");
}

function answerOf(status: number, text: string): string {
  return `HTTP/1.1 ${status} ${status === 200 ? "OK" : "No"}\r\ncontent-type: text/plain\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
}
