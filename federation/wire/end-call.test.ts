import { status } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { endCall } from "./end-call.ts";
import { registryService } from "./grpc-services.ts";
import { callOnce } from "./stream-call-fixture.ts";
import type { SessionReport } from "./workload-messages.ts";

const report: SessionReport = { instanceId: "one", ports: [], address: "127.0.0.1", inboundPort: 1, zone: "", weight: 1, ready: true, draining: false };

it("is heard by a caller whose stream was never begun", async () => {
  const outcome = await callOnce(registryService.session, (call) => endCall(call, status.PERMISSION_DENIED, "not you"), [report]);
  expect(outcome).toEqual({ answers: 0, code: status.PERMISSION_DENIED, details: "not you" });
});

it("comes after what was written, and nothing of what the caller sends is heard from then on", async () => {
  let reports = 0;
  const outcome = await callOnce(registryService.session, (call) => {
    call.on("data", () => {
      reports++;
      call.write({ ttlMs: 1, refused: "" });
      endCall(call, status.RESOURCE_EXHAUSTED, "too much");
    });
  }, [report, report, report]);
  expect([outcome, reports]).toEqual([{ answers: 1, code: status.RESOURCE_EXHAUSTED, details: "too much" }, 1]);
});
