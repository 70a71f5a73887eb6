import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestAuthority } from "#federation/admin-api/tls-fixture.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { dueClients, keepClients } from "./client-renewal.ts";

const minuteMs = 60_000;
const { caPem, certificateChainPem, privateKeyPem } = createTestAuthority().issue("spiffe://shop.atoll/atoll/client/team");
const context = JSON.stringify({ server: "127.0.0.1:7400", federation: "shop.atoll", caPem, certificatePem: certificateChainPem, privateKeyPem });
const certificate = new X509Certificate(certificateChainPem);
const fromMs = certificate.validFromDate.getTime();
const halfMs = (certificate.validToDate.getTime() - fromMs) / 2;

describe("certificates of clients", () => {
  let dataDir: string;
  const write = (path: string, text: string): void => {
    mkdirSync(join(dataDir, path, ".."), { recursive: true });
    writeFileSync(join(dataDir, path), text);
  };

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-clients-"));
    write("clients/team.json", "{}");
    write("global/clients/team.json", context);
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));

  it("are due when half of their life is over, for the clients that there are", () => {
    write("global/clients/earlier.json", context);
    write("clients/damaged.json", "{}");
    write("global/clients/damaged.json", "{");
    write("clients/unmade.json", "{}");
    expect(dueClients(dataDir, fromMs + halfMs - 1)).toEqual([]);
    expect(dueClients(dataDir, fromMs + halfMs)).toEqual([{ name: "team", server: "127.0.0.1:7400" }]);
    expect(dueClients(join(dataDir, "nothing"), fromMs + halfMs)).toEqual([]);
  });

  it("are renewed then, tried again when that fails, and left alone in the end", async () => {
    const clock = new VirtualClock(fromMs);
    const stop = new AbortController();
    const tries: number[] = [];
    const logged: string[] = [];
    let isBroken = true;
    const keeping = keepClients(
      {
        dataDir,
        clock,
        log: (message) => logged.push(message),
        renew: async ({ name }) => {
          tries.push((clock.nowMs() - fromMs) / minuteMs);
          if (isBroken) throw new Error("no keys");
          rmSync(join(dataDir, "global/clients", `${name}.json`));
        },
      },
      stop.signal,
    );
    await clock.advance(halfMs + 15 * minuteMs);
    isBroken = false;
    await clock.advance(10 * halfMs);
    expect(tries).toEqual([60, 70, 80]);
    expect(logged).toEqual(["the client team keeps its certificate for now: no keys", "the client team keeps its certificate for now: no keys", "the client team has a new certificate"]);
    stop.abort();
    await keeping;
  });

  it("are made by nobody any more once the supervisor ends", async () => {
    const stop = new AbortController();
    const logged: string[] = [];
    const renew = async (_client: unknown, signal: AbortSignal): Promise<void> => {
      stop.abort();
      signal.throwIfAborted();
    };
    await keepClients({ dataDir, clock: new VirtualClock(fromMs + halfMs), log: (message) => logged.push(message), renew }, stop.signal);
    expect(logged).toEqual([]);
  });
});
