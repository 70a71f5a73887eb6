/** What runs in a process, or on a thread, of its own: sources by their path in the installation. */
export const programSources: readonly string[] = [
  "federation/store/sqlite-worker.ts",
  "proxy/main.ts",
  "services/bus/main.ts",
  "services/cli/up/supervisor-main.ts",
  "services/cluster/main.ts",
  "services/demo/apps-main.ts",
  "services/demo/relay-main.ts",
  "services/demo/users-main.ts",
  "services/global/main.ts",
];
