import { describe, expect, it } from "vitest";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import { engineProblems } from "./engine-findings.ts";

type Engines = NonNullable<FederationStatus["engines"]>;
const address = "https://10.1.0.1:2379";
const etcd = (more: object = {}): Engines[number] => ({ kind: "etcd", address, version: "3.4.44", clockAheadMs: 400, database: { bytes: 2 ** 20, usedBytes: 2 ** 20, quotaBytes: 2 ** 31 }, alarms: [], syncs: { count: 40, slow: 0, writes: 40 }, reaches: [], ...more });
const nats = (more: object = {}): Engines[number] => ({ kind: "nats", address: "tls://10.1.0.1:4222", version: "2.9.10", messageBytesMax: 1_048_576, reaches: [], ...more });
const of = (...engines: Engines): readonly string[] => engineProblems([["global", { engines }]]);

describe("what check says of engines", () => {
  it("is nothing of good ones, embedded ones, and of what is not known", () => {
    expect(of(etcd(), nats())).toEqual([]);
    expect(engineProblems([["global", {}]])).toEqual([]);
    expect(of({ kind: "etcd", address, version: "3.6.0-rc.1" }, nats({ version: "weekly" }))).toEqual([]);
    expect(of(etcd({ syncs: { count: 40, slow: 2, writes: 40 } }), etcd({ syncs: { count: 0, slow: 0, writes: 9 } }))).toEqual([]);
  });

  it.each([
    [etcd({ version: "3.3.27" }), `etcd at ${address} is of version 3.3.27, and planes are tried with 3.4 and newer: update it`],
    [etcd({ alarms: ["NOSPACE"], database: { bytes: 100, usedBytes: 100, quotaBytes: 100 } }), `etcd at ${address} is full and refuses writes: compact and defragment it, or give it more by --quota-backend-bytes, then disarm the alarm (\`etcdctl alarm disarm\`)`],
    [etcd({ alarms: ["CORRUPT"] }), /data differ from the others'/],
    [etcd({ database: { bytes: 81, usedBytes: 60, quotaBytes: 100 } }), `etcd at ${address} has used 81 % of its quota and refuses writes when that is full: give it more by --quota-backend-bytes`],
    [etcd({ database: { bytes: 81, usedBytes: 40, quotaBytes: 100 } }), /most of the file is free, defragment it \(`etcdctl defrag`\)$/],
    [etcd({ syncs: { count: 0, slow: 0, writes: 10 } }), `etcd at ${address} brings nothing of its log to the disk: what it acknowledges is lost with the machine's power; start it without --unsafe-no-fsync`],
    [etcd({ syncs: { count: 40, slow: 3, writes: 40 } }), /^etcd at .* took longer than a second to bring its log to the disk 3 times in a minute, of 40, .*: give its data directory a disk/],
    [etcd({ clockAheadMs: 600_000 }), `the clock of etcd at ${address} is 10 min ahead of that of the plane of global, and certificates are judged by both: have both machines follow the same time (chrony, systemd-timesyncd)`],
    [etcd({ clockAheadMs: -31_000 }), /is 31 s behind that of/],
    [etcd({ reaches: ["read", "write"] }), `etcd at ${address} lets the plane of global read what is not its own and write what is not its own: tell it its planes by \`atoll secure-engines\`, with containers of --compose by \`sh compose.sh\`, or with \`atoll up\` by \`atoll down\` and \`atoll up\``],
    [etcd({ version: "3.4.23", reaches: ["nested"] }), /^etcd at .* lets the plane of global read what is not its own, by a transaction within a transaction, .*: update it, from 3\.4\.23 to 3\.4\.44, 3\.5\.30, 3\.6\.11 or newer, or give each plane an etcd of its own$/],
    [nats({ version: "2.8.4" }), "nats-server at tls://10.1.0.1:4222 is of version 2.8.4, and planes are tried with 2.9 and newer: update it"],
    [nats({ messageBytesMax: 65_536 }), /takes messages of 65536 bytes at most, and planes send larger ones: set max_payload to 1048576$/],
    [nats({ reaches: ["hear", "say"] }), /^nats-server at .* lets the plane of global hear what is sent to others and speak where others do: give each plane permissions of its own/],
  ] as const)("names what is wrong and what to do (%#)", (engine, finding) => {
    expect(of(engine)).toEqual([typeof finding === "string" ? finding : (expect.stringMatching(finding) as string)]);
  });

  it("names an engine that several planes share once, and what each may do in it", () => {
    const seen = etcd({ alarms: ["NOSPACE"], reaches: ["read"] });
    const found = engineProblems([["global", { engines: [seen] }], ["shop-eu", { engines: [seen] }]]);
    expect(found.map((text) => text.slice(address.length + 8, address.length + 35))).toEqual([" is full and refuses writes", " lets the plane of global r", " lets the plane of shop-eu "]);
  });

  it("names a member that does not answer where there are others, by all that it does not answer", () => {
    const silent = { kind: "etcd", address: "https://10.1.0.2:2379", silent: "no answer within 2000 ms" } as const;
    expect(engineProblems([["global", { engines: [etcd(), silent] }], ["shop-eu", { engines: [etcd(), silent] }]])).toEqual([
      "etcd at https://10.1.0.2:2379 does not answer the planes of global, shop-eu: no answer within 2000 ms; its etcd bears the loss of no further member until it is back",
    ]);
    const cutOff = etcd({ address: silent.address, hasLeader: false });
    expect(of(etcd({ hasLeader: true }), cutOff)).toEqual(["etcd at https://10.1.0.2:2379 answers the plane of global and is cut from the other members: see that their machines reach each other at the ports for peers; its etcd bears the loss of no further member until then"]);
    expect(of(etcd({ hasLeader: false }), cutOff)).toEqual([]);
    expect(engineProblems([["global", { engines: [silent] }]])).toEqual([]);
    expect(engineProblems([["global", { engines: [etcd(), silent] }], ["shop-eu", { engines: [etcd(), etcd({ address: silent.address })] }]])).toEqual([]);
  });
});
