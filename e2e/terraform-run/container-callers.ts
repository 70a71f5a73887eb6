import { spawn, type ChildProcess } from "node:child_process";

/** How one request of a caller ended. */
export interface CallerEnd {
  readonly atMs: number;
  readonly isOk: boolean;
  /** Where the stock came from; "" when none did. */
  readonly region: string;
}

/** What callers saw of a region's death and return. */
export interface CallersScore {
  readonly requests: number;
  readonly failed: number;
  /** Failed before the kill, or after their caller had been served by another region. */
  readonly failedOutsideShift: number;
  /** From the kill until every caller had been; null while one has not. */
  readonly shiftMs: number | null;
}

// One request after the other, through the sidecar of its application, until its input ends; a line for each.
const program = `
const http = require("node:http");
let isOver = false;
process.stdin.resume().once("end", () => { isOver = true; });
const call = () => new Promise((resolve) => {
  const end = (isOk, region) => { console.log(JSON.stringify({ atMs: Date.now(), isOk, region: String(region ?? "") })); resolve(); };
  const request = http.get(process.env.ATOLL_OUTBOUND + "/stock", { headers: { host: "storefront.web" }, timeout: 10000 }, (answer) => {
    answer.resume().once("close", () => end(answer.complete && answer.statusCode === 200, answer.headers["x-stock-region"]));
  });
  request.once("timeout", () => request.destroy(new Error("no answer")));
  request.once("error", () => end(false));
});
(async () => { while (!isOver) { await call(); await new Promise((resolve) => setTimeout(resolve, 50)); } })();
`;

/** A caller in the container of an application. Disposing has it finish its last request. */
export class ContainerCaller implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #ends: CallerEnd[] = [];

  /** `container` has Node, and the variable by which its application calls others. */
  constructor(container: string) {
    const child = spawn("docker", ["exec", "--interactive", container, "node", "--eval", program], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once("close", () => resolve()));
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = `${rest}${text}`.split("\n");
      rest = lines.pop() ?? "";
      this.#ends.push(...lines.map((line) => JSON.parse(line) as CallerEnd));
    });
  }

  /** Oldest first. */
  get ends(): readonly CallerEnd[] {
    return this.#ends;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
  }
}

/** Scores what `callers` saw since `beganAtMs`; all of their requests are repeatable. Pure. */
export function scoreCallers(callers: readonly (readonly CallerEnd[])[], times: { readonly beganAtMs: number; readonly killAtMs: number; readonly lostRegion: string }): CallersScore {
  const { beganAtMs, killAtMs, lostRegion } = times;
  const seen = callers.map((ends) => ends.filter(({ atMs }) => atMs >= beganAtMs));
  const shifts = seen.map((ends) => ends.find(({ atMs, isOk, region }) => isOk && atMs >= killAtMs && region !== lostRegion)?.atMs);
  const failures = seen.map((ends) => ends.filter(({ isOk }) => !isOk));
  const outside = failures.flatMap((ends, index) => ends.filter(({ atMs }) => atMs < killAtMs || atMs > (shifts[index] ?? Number.POSITIVE_INFINITY)));
  return {
    requests: seen.flat().length,
    failed: failures.flat().length,
    failedOutsideShift: outside.length,
    shiftMs: shifts.reduce<number | null>((latest, atMs) => (latest === null || atMs === undefined ? null : Math.max(latest, atMs - killAtMs)), 0),
  };
}
