import { join } from "node:path";
import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import { build, stop } from "esbuild";
import { afterAll, describe, expect, it } from "vitest";
import { LazyHandlers } from "./lazy-handlers.ts";
import { services } from "./protocol/definitions.ts";

const home = join(import.meta.dirname, "..", "..");

type Handler = (call: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) => void;

async function ask(handlers: LazyHandlers, method: string): Promise<Readonly<Record<string, unknown>>> {
  const handler = handlers.implementation[method] as Handler;
  return await new Promise((resolve, reject) => {
    handler({ request: {} } as ServerUnaryCall<object, object>, (error, answer) => (error === null ? resolve({ ...answer }) : reject(Object.assign(new Error("refused"), error))));
  });
}

describe("handlers that are loaded late", () => {
  afterAll(stop);

  it("answer whoever comes before they are loaded, each by the same ones", async () => {
    using handlers = new LazyHandlers({ environment: {}, stopping: new AbortController() });
    const [early, second] = await Promise.all([ask(handlers, "GetMetadata"), ask(handlers, "GetMetadata")]);
    expect(early["resources"]).toContainEqual({ type_name: "atoll_region" });
    expect(second).toEqual(early);
    handlers.load();
    expect(await ask(handlers, "GetMetadata")).toEqual(early);
  });

  it("know every method that Terraform may call", () => {
    using handlers = new LazyHandlers({ environment: {}, stopping: new AbortController() });
    expect(Object.keys(handlers.implementation)).toEqual(Object.keys(services.provider));
  });

  it("leave the model's parsers and schemas out of what a start reads", async () => {
    const { metafile } = await build({ absWorkingDir: home, entryPoints: ["terraform/provider/main.ts"], outdir: "unwritten", bundle: true, splitting: true, format: "esm", platform: "node", metafile: true, write: false, logLevel: "silent" });
    const read = readAtStart(metafile.outputs, "terraform/provider/main.ts");
    expect(read).toContain("terraform/provider/plugin/serve-plugin.ts");
    expect(read.filter((path) => path.includes("node_modules/zod/") || path.startsWith("federation/model/parse/") || path.startsWith("docs/schemas/"))).toEqual([]);
  });
});

type Outputs = Readonly<Record<string, { readonly entryPoint?: string; readonly inputs: object; readonly imports: readonly { readonly path: string; readonly kind: string; readonly external?: boolean }[] }>>;

/** The sources that the program `entry` runs before it imports anything by a call. */
function readAtStart(outputs: Outputs, entry: string): readonly string[] {
  const due = Object.keys(outputs).filter((path) => outputs[path]?.entryPoint === entry);
  const seen = new Set<string>();
  for (let path = due.pop(); path !== undefined; path = due.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { path: next, kind, external } of outputs[path]?.imports ?? []) if (kind === "import-statement" && external !== true) due.push(next);
  }
  return [...seen].flatMap((path) => Object.keys(outputs[path]?.inputs ?? {}));
}
