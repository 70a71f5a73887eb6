import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { registryService } from "#federation/wire/grpc-services.ts";
import { callOnce } from "#federation/wire/stream-call-fixture.ts";
import type { SessionReport } from "#federation/wire/workload-messages.ts";
import type { Registry } from "./registry.ts";
import { registrySessionHandler, waitingReportsMax } from "./registry-service.ts";

const identity = "spiffe://shop.example/ns/web/sa/catalog" as SpiffeId;
const report: SessionReport = { instanceId: "catalog-1", ports: [], address: "127.0.0.1", inboundPort: 1, zone: "", weight: 1, ready: true, draining: false };

describe("a session that is refused", () => {
  /** What a proxy hears that sends `reports`, of a registry that does with each what `take` does. */
  const heard = async (reports: number, take: () => Promise<never>) => {
    const registry = { openSession: () => ({ report: take, end: () => undefined }) } as unknown as Registry;
    const handler = registrySessionHandler(registry, { identify: () => identity, logger: silentLogger, onRefused: () => undefined, signal: new AbortController().signal });
    return await callOnce(registryService.session, handler, Array.from({ length: reports }, () => report));
  };
  const never = (): Promise<never> => new Promise(() => undefined);

  it("is told so: to a stranger", async () => {
    const stranger = { openSession: () => expect.fail("nobody opens a session for a stranger") } as unknown as Registry;
    const handler = registrySessionHandler(stranger, { identify: () => undefined, logger: silentLogger, onRefused: () => undefined, signal: new AbortController().signal });
    expect(await callOnce(registryService.session, handler, [report])).toMatchObject({ answers: 0, code: status.PERMISSION_DENIED });
  });

  it("is told so: to one that does not wait for its acknowledgements", async () => {
    expect(await heard(waitingReportsMax + 1, never)).toMatchObject({ answers: 0, code: status.RESOURCE_EXHAUSTED });
  });

  it("is told so: where the report could not be taken, and no further one is", async () => {
    let taken = 0;
    const fail = async (): Promise<never> => {
      taken++;
      throw new AtollError("ATOLL_STORE_UNAVAILABLE", "the store is away");
    };
    expect(await heard(3, fail)).toMatchObject({ answers: 0, code: status.UNAVAILABLE, details: "the report could not be taken" });
    expect(taken).toBe(1);
  });
});
