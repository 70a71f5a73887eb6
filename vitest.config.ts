import { defineConfig } from "vitest/config";
import { compileCache } from "./e2e/harness/compile-cache.ts";

/** Programs that tests start compile once, as the launcher's do. */
const env = { NODE_COMPILE_CACHE: compileCache };

/** A test that waits for a state judges no speed: this bounds one that never comes, within the bound of the test. */
const expect = { poll: { timeout: 50_000 } };

// `unit` needs nothing but Node. `engines` runs the contract suites on real
// etcd and NATS, `scenarios` runs real processes; both run in sequence so that timings are their own. `containers` does where a container engine answers.
export default defineConfig({
  test: {
    // One worker fewer than processors, the default, is one on two of them.
    maxWorkers: "100%",
    projects: [
      {
        test: {
          name: "unit",
          env,
          // Modules hold no state of their own, so files may share a process; and a file that breaks the rule shows here.
          isolate: false,
          include: ["{federation,services,proxy,terraform}/**/*.test.ts", "e2e/{layers,harness,bench,overload,nemesis,simulation,terraform-run,trust}/**/*.test.ts"],
          // Four times what the longest needs on a busy host: this bounds a test that hangs, and judges no speed.
          testTimeout: 80_000,
          expect,
        },
      },
      {
        test: {
          name: "engines",
          include: ["e2e/contract/**/*.test.ts"],
          testTimeout: 60_000,
          expect,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "scenarios",
          include: ["e2e/scenarios/**/*.test.ts"],
          testTimeout: 240_000,
          expect,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "containers",
          include: ["e2e/containers/**/*.test.ts"],
          testTimeout: 600_000,
          expect,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
