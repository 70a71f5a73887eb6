import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { isSameProcess, processIdentity, signalProcess } from "./process-identity.ts";

describe("process identity", () => {
  it("is the same for the same process and differs between two", async () => {
    const child = spawn(process.execPath, ["-e", "process.stdin.resume()"]);
    try {
      const identity = processIdentity(child.pid ?? 0) ?? "";
      expect(identity).not.toBe("");
      expect(processIdentity(child.pid ?? 0)).toBe(identity);
      expect(isSameProcess(process.pid, identity)).toBe(false);
    } finally {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("exit", resolve));
    }
    expect(processIdentity(child.pid ?? 0)).toBeUndefined();
  });

  it("keeps a process that only has the pid from being signalled", () => {
    expect(signalProcess({ pid: process.pid, identity: "another boot/1" }, "SIGKILL")).toBe(false);
  });

  it("does not know init, groups or nonsense", () => {
    for (const pid of [1, 0, -1, 1.5, Number.NaN]) expect(processIdentity(pid)).toBeUndefined();
  });
});
