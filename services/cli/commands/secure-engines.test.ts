import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../context.ts";
import { runSecureEngines } from "./secure-engines.ts";

describe("atoll secure-engines", () => {
  it("says that the administrator's certificate has ended, which etcd would not", async () => {
    const directory = mkdtempSync(join(tmpdir(), "atoll-secure-"));
    try {
      const engines = join(directory, "keys/engines");
      mkdirSync(engines, { recursive: true });
      const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=etcd-administrator", "-keyout", join(engines, "etcd-administrator.key"), "-out", join(engines, "etcd-administrator.pem")]);
      expect(made.status).toBe(0);
      writeFileSync(join(engines, "ca.pem"), "");
      const configs = join(directory, "planes");
      mkdirSync(configs);
      writeFileSync(join(configs, "global.json"), JSON.stringify({ store: { kind: "etcd", endpoints: ["https://127.0.0.1:1"] } }));
      const context = { terminal: { clock: { nowMs: () => Date.parse("2126-01-01") } }, signal: new AbortController().signal } as unknown as CommandContext;
      await expect(runSecureEngines(context, undefined, { keys: join(directory, "keys"), configs })).rejects.toMatchObject({ code: "ATOLL_USAGE", message: expect.stringMatching(/ended on \d{4}-.*renew-engines/) as string });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
