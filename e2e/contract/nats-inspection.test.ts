import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { inspectNats } from "#federation/bus/nats-inspection.ts";
import { clusterPlaneUser, globalPlaneUser } from "#services/cli/engines/nats-config.ts";
import { findFreePort, startEngine } from "#services/cli/engines/start-engine.ts";
import { findTestEngine, startTestNats, TestAuthority } from "./test-engines.ts";

const program = await findTestEngine("nats-server");
const spiffeIdOf = (plane: string): string => `spiffe://demo.atoll/atoll/plane/${plane}`;

describe.skipIf(program === undefined)("what a plane finds out about its NATS by its own certificate", () => {
  it("is its version and the size of its messages, and that it keeps planes apart, of each kind of plane", async () => {
    using authority = new TestAuthority();
    await using nats = await startTestNats(program ?? "", authority, "apart", { users: [clusterPlaneUser(spiffeIdOf("shop"), "shop"), globalPlaneUser(spiffeIdOf("global"))] });
    for (const name of ["shop", "global"]) {
      const identity = authority.issue(name, [`URI:${spiffeIdOf(name)}`, "IP:127.0.0.1"]);
      expect(await inspectNats({ servers: [nats.url], name, tls: () => identity })).toEqual({ kind: "nats", address: nats.url, version: expect.stringMatching(/^2\.\d+\.\d+/) as string, messageBytesMax: 1_048_576, reaches: [] });
    }
    const stranger = authority.issue("stranger", ["URI:spiffe://demo.atoll/atoll/plane/stranger", "IP:127.0.0.1"]);
    await expect(inspectNats({ servers: [nats.url], name: "stranger", tls: () => stranger })).rejects.toThrow();
  });

  it("is what it lets the plane do on subjects of others", async () => {
    using authority = new TestAuthority();
    const identity = authority.issue("shop", [`URI:${spiffeIdOf("shop")}`, "IP:127.0.0.1"]);
    const [hearing, saying] = [{ ...clusterPlaneUser(spiffeIdOf("shop"), "shop"), subscribe: ["atoll.>"] }, { ...clusterPlaneUser(spiffeIdOf("shop"), "shop"), publish: [">"] }];
    for (const [user, reaches] of [[hearing, ["hear"]], [saying, ["say"]]] as const) {
      await using nats = await startTestNats(program ?? "", authority, reaches[0], { users: [user] });
      expect((await inspectNats({ servers: [nats.url], name: "shop", tls: () => identity })).reaches).toEqual(reaches);
    }
    // One that knows nobody, as it is without a configuration but for TLS and small messages.
    const port = await findFreePort("127.0.0.1");
    const server = authority.issueFiles("bare-server", ["IP:127.0.0.1"]);
    const config = join(authority.directory, "bare.conf");
    writeFileSync(config, `host: "127.0.0.1"\nport: ${port}\nmax_payload: 65536\ntls { cert_file: "${server.certificate}", key_file: "${server.privateKey}", ca_file: "${server.ca}", verify: true }\n`);
    await using _bare = await startEngine({ name: "nats-server", program: program ?? "", args: ["-c", config], logFile: join(authority.directory, "bare.log"), clock: systemClock }, new AbortController().signal);
    expect(await inspectNats({ servers: [`tls://127.0.0.1:${port}`], name: "shop", tls: () => identity })).toMatchObject({ messageBytesMax: 65_536, reaches: ["hear", "say"] });
  });
});
