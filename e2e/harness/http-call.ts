import { request } from "node:http";
import { createConnection } from "node:net";

/** One answered HTTP request. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The region of the application that answered, where one did. */
  readonly region: string | undefined;
}

const loopback = "127.0.0.1";
const answerWithinMs = 15_000;

/** Calls `host` through whatever listens on `port`: a sidecar's outbound port, its admin page, its metrics. A connection of its own each time. */
export function call(port: number, options: { readonly host?: string; readonly path?: string; readonly method?: string; readonly withinMs?: number } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { host, path = "/", method = "GET", withinMs = answerWithinMs } = options;
    const outgoing = request(
      { host: loopback, port, path, method, agent: false, headers: { ...(host === undefined ? {} : { host }), "content-length": 0 }, setHost: host === undefined, timeout: withinMs },
      (incoming) => {
        const parts: Buffer[] = [];
        incoming.on("data", (part: Buffer) => parts.push(part));
        incoming.once("error", reject);
        incoming.once("end", () => {
          const region = incoming.headers["x-region"];
          resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8"), region: typeof region === "string" ? region : undefined });
        });
      },
    );
    outgoing.once("timeout", () => outgoing.destroy(new Error(`no answer within ${withinMs / 1000} s`)));
    outgoing.once("error", reject);
    outgoing.end();
  });
}

/** Sends `text` as it stands over plain TCP and returns everything that comes back until the other side closes. */
export function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: loopback, port });
    const parts: Buffer[] = [];
    socket.setTimeout(answerWithinMs, () => socket.destroy(new Error("the other side did not close")));
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.once("error", reject);
    socket.once("close", () => resolve(Buffer.concat(parts).toString("latin1")));
    socket.write(text, "latin1");
  });
}

/** The value of one series of a Prometheus page, or 0 when it is not there; labels are compared as they are written there. */
export function metricOf(page: string, name: string, labels: readonly string[]): number {
  const line = page.split("\n").find((candidate) => candidate.startsWith(name) && labels.every((label) => candidate.includes(label)));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1));
}
