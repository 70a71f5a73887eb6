import { defineConfig } from "vitest/config";

// `unit` needs nothing but Node and stays under a minute. `engines` runs the contract suites on real
// etcd and NATS, `scenarios` runs real processes; both run in sequence so that timings are their own.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["{federation,services,proxy,terraform}/**/*.test.ts", "e2e/{layers,harness,bench}/**/*.test.ts"],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "engines",
          include: ["e2e/contract/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "scenarios",
          include: ["e2e/scenarios/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
