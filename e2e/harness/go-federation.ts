import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** What another federation's server has made of a bundle endpoint. */
export type GoBundleEvent =
  | { readonly event: "bundle"; readonly sequence: number; readonly refreshHintSeconds: number; readonly roots: number; readonly jwtKeys: number }
  | { readonly event: "error"; readonly error: string };

/** A running program that follows a bundle by go-spiffe. */
export class GoFederation implements AsyncDisposable {
  readonly events: GoBundleEvent[] = [];
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<unknown>;
  #changed = Promise.withResolvers<void>();

  /** `words`: the trust domain, the endpoint's URL, and how it is verified. */
  constructor(program: string, words: readonly string[]) {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    createInterface(child.stdout).on("line", (line) => {
      this.events.push(JSON.parse(line) as GoBundleEvent);
      this.#changed.resolve();
      this.#changed = this.#next();
    });
    this.#changed = this.#next();
    this.#ended = new Promise((resolve) => child.once("close", resolve));
    void this.#ended.then(() => this.#changed.reject(new Error(`the program has ended: ${errors}`)));
  }

  /** The first event for which `holds`, of those that were and those to come. */
  async find(holds: (event: GoBundleEvent) => boolean): Promise<GoBundleEvent> {
    for (;;) {
      const found = this.events.find(holds);
      if (found !== undefined) return found;
      await this.#changed.promise;
    }
  }

  #next(): PromiseWithResolvers<void> {
    const next = Promise.withResolvers<void>();
    next.promise.catch(() => undefined);
    return next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
