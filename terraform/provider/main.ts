import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { LazyHandlers } from "./lazy-handlers.ts";
import { checkStartedByTerraform, servePlugin } from "./plugin/serve-plugin.ts";

const nodeMin = 22;

/** Ends by Terraform's word, and not by the terminal's interrupt, which Terraform gets too and translates. */
async function main(): Promise<void> {
  const { env, versions } = process;
  if (Number(versions.node.split(".")[0]) < nodeMin) throw new AtollError("ATOLL_USAGE", `the provider needs Node ${nodeMin} or newer as node on PATH, and found ${versions.node}`);
  checkStartedByTerraform(env);
  process.on("SIGINT", () => undefined);
  const stopping = new AbortController();
  const ended = Promise.withResolvers<void>();
  process.on("SIGTERM", () => ended.resolve());
  using handlers = new LazyHandlers({ environment: env, stopping });
  using _plugin = await servePlugin({ env, provider: handlers.implementation, onShutdown: () => ended.resolve(), announce: (line) => process.stdout.write(`${line}\n`), clock: systemClock });
  handlers.load();
  await ended.promise;
  stopping.abort();
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
});
