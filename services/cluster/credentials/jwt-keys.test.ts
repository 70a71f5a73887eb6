import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, cpSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { clusterJwtAuthoritiesMax, encodeClusterJwtAuthorities, parseClusterJwtAuthorities, type ClusterJwtAuthority } from "#federation/identity/cluster-jwt-authorities.ts";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { jwtKeyAheadMs, jwtKeyRetiredMs, jwtKeySignsMs } from "./jwt-key-state.ts";
import { jwtKeyKnownMs, JwtKeys, otherReplicaMs } from "./jwt-keys.ts";

describe("the keys of JWT-SVIDs", () => {
  let directory: string;
  let dataDir: string;
  let clock: VirtualClock;
  let published: readonly ClusterJwtAuthority[];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-jwt-keys-"));
    dataDir = join(directory, "plane");
    clock = new VirtualClock();
    published = [];
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const open = (at = dataDir): JwtKeys => JwtKeys.open({ dataDir: at, clock, logger: silentLogger });
  /** As the plane does each minute; what is published passes through its object. */
  const publish = (keys: JwtKeys, isHeard = true): readonly ClusterJwtAuthority[] => {
    published = parseClusterJwtAuthorities(encodeClusterJwtAuthorities(keys.turn(published, isHeard)));
    keys.published(published);
    return published;
  };
  const ids = (): readonly string[] => published.map(({ keyId }) => keyId);

  it("are kept for their owner alone, sign only once they are published, and are the same after a start", () => {
    const keys = open();
    expect(keys.signer).toBeUndefined();
    const [authority] = keys.turn([], false);
    expect(keys.signer, "said is not stored").toBeUndefined();
    publish(keys);
    expect(keys.signer?.keyId).toBe(authority?.keyId);
    expect(statSync(join(dataDir, "ca", "jwt.json")).mode & 0o777).toBe(0o600);
    const again = open();
    expect(publish(again)).toEqual([authority]);
    expect(again.signer?.keyId).toBe(authority?.keyId);
  });

  it("follow each other: the next is published long before it signs, and the one before long after", async () => {
    const keys = open();
    publish(keys);
    const [first = ""] = ids();
    await clock.advance(jwtKeySignsMs - jwtKeyAheadMs - 1);
    expect(publish(keys).length).toBe(1);
    await clock.advance(1);
    expect(publish(keys).length).toBe(2);
    const [, second = ""] = ids();
    await clock.advance(jwtKeyAheadMs - 1);
    publish(keys);
    expect(keys.signer?.keyId).toBe(first);
    await clock.advance(1);
    publish(keys);
    expect(keys.signer?.keyId).toBe(second);
    expect(published.map(({ keyId, untilMs }) => [keyId, untilMs])).toEqual([[second, undefined], [first, clock.nowMs() + jwtKeyRetiredMs]]);
    await clock.advance(jwtKeyRetiredMs);
    expect(publish(keys).map(({ keyId }) => keyId)).toEqual([second]);
    expect(readFileSync(join(dataDir, "ca", "jwt.json"), "utf8")).not.toContain(first);
  });

  it("go on while nobody has heard of the next one, and for as long after a start as others may need to hear of it", async () => {
    publish(open());
    const [first = ""] = ids();
    await clock.advance(jwtKeySignsMs);
    const keys = open();
    publish(keys);
    expect(ids().length).toBe(2);
    publish(keys);
    expect(keys.signer?.keyId, "just published").toBe(first);
    await clock.advance(jwtKeyKnownMs);
    publish(keys, false);
    expect(keys.signer?.keyId, "published, and heard by nobody").toBe(first);
    publish(keys);
    expect(keys.signer?.keyId).not.toBe(first);
  });

  it("of two replicas are both published, whoever leads, and neither for ever after its last time", async () => {
    const here = open();
    publish(here);
    const there = open(join(directory, "replica"));
    publish(there);
    expect(published.map(({ untilMs }) => untilMs)).toEqual([undefined, clock.nowMs() + otherReplicaMs]);
    publish(here);
    expect(ids()).toContain(there.signer?.keyId);
    expect(published.find(({ keyId }) => keyId === here.signer?.keyId)).not.toHaveProperty("untilMs");
    await clock.advance(otherReplicaMs);
    expect(publish(here).map(({ keyId }) => keyId)).not.toContain(there.signer?.keyId);
  });

  it("of a copied directory are the same until each goes on by its own, which stay published beside each other", async () => {
    publish(open());
    cpSync(dataDir, join(directory, "copy"), { recursive: true });
    const [here, copy] = [open(), open(join(directory, "copy"))];
    publish(here);
    publish(copy);
    expect(here.signer?.keyId).toBe(copy.signer?.keyId);
    await clock.advance(jwtKeySignsMs - jwtKeyAheadMs);
    publish(here);
    publish(copy);
    await clock.advance(jwtKeyAheadMs);
    publish(here);
    publish(copy);
    expect(here.signer?.keyId).not.toBe(copy.signer?.keyId);
    for (const { signer } of [here, copy]) expect(ids()).toContain(signer?.keyId);
  });

  it("are bounded with what else is published in the cluster's name: its own stay", () => {
    const keys = open();
    published = Array.from({ length: clusterJwtAuthoritiesMax }, (_, n) => ({ ...jwtAuthorityOf(createKeyPair().publicKey), untilMs: clock.nowMs() + 1_000 + n }));
    const shortest = published[0]?.keyId;
    publish(keys);
    expect(published.length).toBe(clusterJwtAuthoritiesMax);
    expect(ids()[0]).toBe(keys.signer?.keyId);
    expect(ids()).not.toContain(shortest);
  });

  it("go on where the disk takes no next one, and do not sign for ever by a clock that was once ahead", async () => {
    clock.jumpWall(10 * 365 * 86_400_000);
    publish(open());
    clock.jumpWall(-10 * 365 * 86_400_000);
    const keys = open();
    const [first = ""] = ids();
    const files = join(dataDir, "ca");
    rmSync(files, { recursive: true });
    writeFileSync(files, "no directory");
    publish(keys);
    expect(ids(), "nothing could be written").toEqual([first]);
    rmSync(files);
    publish(keys);
    expect(ids().length).toBe(2);
    await clock.advance(jwtKeyKnownMs);
    publish(keys);
    expect(keys.signer?.keyId).not.toBe(first);
  });

  it.each([["", "no JSON"], ["{}", "nothing"], ['{"current":{"privateKeyPem":"hunter2","sinceMs":1},"retired":[]}', "no key"], ['{"retired":[1]}', "no present key"]])("are others after %j, and what was signed before is verified still", (text) => {
    publish(open());
    const [first] = ids();
    writeFileSync(join(dataDir, "ca", "jwt.json"), text);
    const logged: string[] = [];
    const others = JwtKeys.open({ dataDir, clock, logger: { ...silentLogger, warn: (message, fields) => void logged.push(JSON.stringify([message, fields])) } });
    publish(others);
    expect(others.signer?.keyId).toBe(ids()[0]);
    expect(ids()).toEqual([expect.not.stringMatching(first ?? ""), first]);
    expect(logged).toEqual([expect.stringMatching(/moved aside/)]);
    expect(logged.join()).not.toContain("hunter2");
    expect(readFileSync(join(dataDir, "ca", "jwt.json.corrupt"), "utf8")).toBe(text);
  });

  it.each([["", "no JSON"], ["[]", "no list"], ['{"keys":{}}', "no list"], ['{"keys":[{}]}', "no key"], ['{"keys":[{"publicKey":"AAAA"}]}', "no such key"], ['{"keys":[null]}', "nothing"]])("are not read from %j in an object", (text) => {
    expect(() => parseClusterJwtAuthorities(Buffer.from(text))).toThrow(expect.objectContaining({ code: "ATOLL_BUNDLE_INVALID" }));
  });

  it("are not read where an end is no time, or there are too many", () => {
    const authority = jwtAuthorityOf(createKeyPair().publicKey);
    const many = Array.from({ length: clusterJwtAuthoritiesMax + 1 }, () => authority);
    for (const wrong of [[{ ...authority, untilMs: -1 }], [{ ...authority, untilMs: 0.5 }], many]) expect(() => parseClusterJwtAuthorities(encodeClusterJwtAuthorities(wrong))).toThrow(expect.objectContaining({ code: "ATOLL_BUNDLE_INVALID" }));
  });
});
