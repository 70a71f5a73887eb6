import type { AdminClient } from "#federation/admin-api/client.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { pause } from "../../harness/eventually.ts";
import { readOwn } from "../look.ts";
import { processOf } from "../places.ts";
import { policyOf, serviceOf } from "../versions.ts";
import type { Scene } from "./fault.ts";

const everyMs = 100;
const never = new AbortController().signal;

/** Reads and writes at a plane's first process by callers who do not know that another one leads; each goes on until `end`. */
export class StrayCalls {
  readonly #scene: Scene;
  readonly #plane: string;
  readonly #client: AdminClient;
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  /** How often it had begun to lead by then. */
  readonly #terms: Promise<number>;

  constructor(scene: Scene, plane: string) {
    this.#scene = scene;
    this.#plane = plane;
    this.#client = scene.world.firstOf(plane);
    this.#terms = this.#termsOf();
    this.#running = Promise.all([this.#repeat(() => this.#read()), this.#repeat(() => this.#write()), this.#repeat(() => this.#write())]);
  }

  /** Resolves when the last call has been answered, or given up. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #repeat(call: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // That it is not answered is what should be.
      await call().catch(() => undefined);
      await pause(everyMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #read(): Promise<void> {
    const invokedMs = systemClock.monotonicMs();
    const { values, isStale } = await readOwn(this.#client, this.#plane);
    this.#scene.onStray({ plane: this.#plane, invokedMs, returnedMs: systemClock.monotonicMs(), isMarked: isStale, wasPutBack: false, values });
  }

  async #write(): Promise<void> {
    const name = "nemesis-stray";
    await (this.#plane === "global" ? this.#client.apply(policyOf(name, 1), {}, never) : this.#client.apply(serviceOf(name, 1), {}, never));
    if ((await this.#termsOf()) > (await this.#terms)) return;
    this.#scene.onViolation({ kind: "unfenced", register: `${this.#plane}/${name}`, detail: `a process of ${this.#plane} took a write while another led` });
  }

  async #termsOf(): Promise<number> {
    return (await this.#scene.world.federation.log(processOf(this.#plane))).split("became leader").length - 1;
  }
}
