import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { loadPackageDefinition, Server, ServerCredentials, status, type ServerDuplexStream, type ServiceClientConstructor, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AsyncQueue } from "#federation/runtime/async-queue.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { openEtcdStore } from "./etcd-store.ts";
import type { Store } from "./store.ts";

/** What an etcd refuses that answers for the rest. */
type Refuses = "listings" | "watches" | undefined;

/** As much of an etcd as a watch of one empty prefix asks for. */
class TestEtcd implements AsyncDisposable {
  refuses: Refuses;
  readonly #server = new Server();
  readonly #streams = new Set<ServerDuplexStream<unknown, unknown>>();

  async listen(): Promise<string> {
    const proto = join(dirname(createRequire(import.meta.url).resolve("etcd3/package.json")), "proto", "rpc.proto");
    const services = loadPackageDefinition(loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true }))["etcdserverpb"] as unknown as Readonly<Record<string, ServiceClientConstructor>>;
    const header = { cluster_id: "1", revision: "7" };
    const implementation: UntypedServiceImplementation = {
      Range: ((call: { readonly request: { readonly range_end: Uint8Array } }, answer: (error: object | null, value?: object) => void) => {
        if (this.refuses === "listings" && call.request.range_end.length > 0) answer({ code: status.RESOURCE_EXHAUSTED, details: "too many requests" });
        else answer(null, { header, kvs: [], more: false, count: 0 });
      }) as never,
      Watch: ((stream: ServerDuplexStream<unknown, unknown>) => {
        this.#streams.add(stream);
        stream.on("error", () => undefined);
        stream.on("cancelled", () => this.#streams.delete(stream));
        stream.on("end", () => stream.end());
        stream.on("data", () => void stream.write(this.refuses === "watches" ? { header, created: true, canceled: true, cancel_reason: "permission denied" } : { header, created: true }));
      }) as never,
    };
    for (const name of ["KV", "Watch"]) {
      const { service } = services[name] ?? {};
      if (service !== undefined) this.#server.addService(service, Object.fromEntries(Object.keys(service).map((method) => [method, implementation[method] ?? ((_call: unknown, answer: (error: object) => void) => answer({ code: status.UNIMPLEMENTED }))])));
    }
    const port = await new Promise<number>((resolve, reject) => this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))));
    return `http://127.0.0.1:${port}`;
  }

  /** Has every watch listed anew. */
  compact(): void {
    for (const stream of this.#streams) stream.write({ header: { cluster_id: "1", revision: "7" }, canceled: true, compact_revision: "7" });
    this.#streams.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }
}

let etcd: TestEtcd;
let store: Store;
let stop: AbortController;
/** What the watch has reported, in order: why it is lost, or that it follows. */
let reports: AsyncQueue<string>;

beforeEach(async () => {
  etcd = new TestEtcd();
  store = openEtcdStore({ endpoints: [await etcd.listen()], clock: systemClock, random: systemRandom, logger: silentLogger });
  stop = new AbortController();
  reports = new AsyncQueue<string>({ capacity: 10_000 });
});
afterEach(async () => {
  stop.abort();
  await store[Symbol.asyncDispose]();
  await etcd[Symbol.asyncDispose]();
});

it.each([
  ["listings", /too many requests/],
  ["watches", /permission denied/],
] as const)("a watch of an etcd that answers and refuses %s says so as often as it tries, and that it follows once it does", async (refuses, reason) => {
  const told = reports.drain(stop.signal)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await told.next();
    if (done === true) throw new Error("nothing more is reported");
    return value;
  };
  etcd.refuses = refuses;
  const reading = (async () => {
    for await (const _ of store.watch("a/", stop.signal, { lost: (why) => void reports.push(why), reads: () => undefined, follows: () => void reports.push("follows") }));
  })();
  expect(await next()).toBe("it has not been read yet");
  for (let tries = 0; tries < 3; tries++) expect(await next()).toMatch(reason);
  // Whoever asks for one key is answered.
  expect(await store.get("a/1", stop.signal)).toBeUndefined();
  etcd.refuses = undefined;
  let last = await next();
  while (last !== "follows") {
    expect(last).toMatch(reason);
    last = await next();
  }
  etcd.refuses = refuses;
  etcd.compact();
  expect(await next()).toBe("compacted up to 7");
  expect(await next()).toMatch(reason);
  stop.abort();
  await reading;
});
