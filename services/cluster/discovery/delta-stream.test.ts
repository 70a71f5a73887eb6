import { beforeEach, describe, expect, it } from "vitest";
import { encodeDeltaResponse, type DeltaRequest, type DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { isPart } from "#federation/wire/discovery-parts.ts";
import { discoveryMessageBytesMax, discoveryPartBytes } from "#federation/wire/limits.ts";
import { DeltaStream } from "./delta-stream.ts";
import { emptyTable, nextTable, type ResourceTable } from "./resource-table.ts";

const typeUrl = "type.example/Service";
const request = (over: Partial<DeltaRequest> = {}): DeltaRequest => ({
  typeUrl,
  subscribe: [],
  unsubscribe: [],
  initialVersions: {},
  responseNonce: "",
  ...over,
});

describe("DeltaStream", () => {
  let table: ResourceTable;
  let sent: DeltaResponse[];
  let stream: DeltaStream;
  let version: number;
  let nowMs: number;
  const set = (values: Record<string, string>): void => {
    table = nextTable({ typeUrl, encode: (value: string) => Buffer.from(value) }, table, new Map(Object.entries(values)));
    version++;
  };
  const last = (): { names: string[]; removed: readonly string[]; nonce: string } => {
    const response = sent.at(-1);
    return { names: response?.resources.map((resource) => resource.name) ?? [], removed: response?.removed ?? [], nonce: response?.nonce ?? "" };
  };

  beforeEach(() => {
    table = emptyTable;
    sent = [];
    version = 1;
    nowMs = 0;
    stream = new DeltaStream(
      (type) => (type === typeUrl ? table : undefined),
      (response) => sent.push(response),
      { version: () => version, monotonicMs: () => nowMs },
    );
  });

  it("knows since when its proxy owes an answer", () => {
    stream.receive(request());
    nowMs = 1_000;
    stream.refresh();
    expect(stream.unansweredSinceMs).toBe(0);
    stream.receive(request({ responseNonce: last().nonce }));
    expect(stream.unansweredSinceMs).toBeUndefined();
    set({ a: "1" });
    stream.refresh();
    nowMs = 9_000;
    set({ a: "2" });
    stream.refresh();
    expect(stream.unansweredSinceMs).toBe(1_000);
    stream.receive(request({ responseNonce: last().nonce }));
    expect(stream.unansweredSinceMs).toBe(9_000);
  });

  it("answers the first request even when there is nothing", () => {
    stream.receive(request());
    expect(sent).toHaveLength(1);
    expect(last()).toMatchObject({ names: [], removed: [] });
  });

  it("sends only what changed after the acknowledgement", () => {
    set({ a: "1", b: "1" });
    stream.receive(request());
    expect(last().names).toEqual(["a", "b"]);
    expect(stream.receive(request({ responseNonce: last().nonce }))).toEqual({ kind: "ack", typeUrl });
    set({ a: "1", b: "2" });
    stream.refresh();
    expect(last().names).toEqual(["b"]);
  });

  it("folds changes into one response while one is on its way", () => {
    set({ a: "1" });
    stream.receive(request());
    for (const value of ["2", "3", "4"]) {
      set({ a: value });
      stream.refresh();
    }
    expect(sent).toHaveLength(1);
    stream.receive(request({ responseNonce: last().nonce }));
    expect(sent).toHaveLength(2);
    expect(last().names).toEqual(["a"]);
  });

  it("does not send a refused version again, but sends the next one", () => {
    set({ a: "bad" });
    stream.receive(request());
    expect(stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message: "no", resources: [] } }))).toEqual({ kind: "nack", typeUrl, message: "no" });
    expect(sent).toHaveLength(1);
    set({ a: "good" });
    stream.refresh();
    expect(last().names).toEqual(["a"]);
  });

  it("sends the rest of a response again, without what its proxy names in refusing it", () => {
    set({ a: "1", b: "1", c: "1" });
    stream.receive(request());
    stream.receive(request({ responseNonce: last().nonce }));
    set({ a: "bad", b: "2", d: "1" });
    stream.refresh();
    expect(last()).toMatchObject({ names: ["a", "b", "d"], removed: ["c"] });
    const refused = version;
    stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message: "no", resources: ["a"] } }));
    expect(last()).toMatchObject({ names: ["b", "d"], removed: ["c"] });
    expect(stream.standing(refused)).toEqual({ kind: "refused", message: "no" });
    expect(stream.standing(refused, (_, name) => name === "b")).toEqual({ kind: "pending" });
    stream.receive(request({ responseNonce: last().nonce }));
    expect(stream.standing(refused)).toEqual({ kind: "refused", message: "no" });
    expect(stream.standing(refused, (type, name) => type === typeUrl && name === "b")).toEqual({ kind: "acknowledged" });
    expect([sent.length, stream.isLevel(), stream.takenVersion]).toEqual([3, true, -1]);
    set({ a: "good", b: "2", d: "1" });
    stream.refresh();
    expect(last()).toMatchObject({ names: ["a"], removed: [] });
    stream.receive(request({ responseNonce: last().nonce }));
    expect([stream.standing(refused).kind, stream.takenVersion]).toEqual(["acknowledged", version]);
  });

  it("sends no more of a response that is refused by names which were not in it, or by all that were", () => {
    for (const resources of [["c"], ["a", "b"], ["a", "b", "c"]]) {
      set({ a: `bad for ${resources.join()}`, b: `bad for ${resources.join()}` });
      stream.receive(request());
      stream.refresh();
      const before = sent.length;
      stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message: "no", resources } }));
      expect(sent).toHaveLength(before);
      expect(stream.standing(version).kind).toBe("refused");
    }
  });

  it("ends, however its proxy refuses one after the other, and in parts", () => {
    const values = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`r${index}`, "x".repeat(discoveryPartBytes / 8)]));
    set(values);
    stream.receive(request());
    const named: string[] = [];
    while (last().nonce !== "" && stream.unansweredSinceMs !== undefined) {
      const [first = ""] = last().names;
      named.push(first);
      stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message: "no", resources: [first] } }));
    }
    expect(named.toSorted()).toEqual(Object.keys(values).toSorted());
    expect(stream.isAnswered()).toBe(true);
  });

  it("resends nothing to a proxy that comes back with the same versions", () => {
    set({ a: "1", b: "1" });
    const held = Object.fromEntries([...table.values()].map((resource) => [resource.name, resource.version]));
    stream.receive(request({ initialVersions: { ...held, gone: "x" } }));
    expect(last()).toMatchObject({ names: [], removed: ["gone"] });
  });

  it("keeps to the names a proxy asked for, and follows them as they change", () => {
    set({ a: "1", b: "1" });
    stream.receive(request({ subscribe: ["a"] }));
    expect(last().names).toEqual(["a"]);
    stream.receive(request({ responseNonce: last().nonce, subscribe: ["b"], unsubscribe: ["a"] }));
    expect(last()).toMatchObject({ names: ["b"], removed: [] });
    stream.receive(request({ responseNonce: last().nonce }));
    set({ b: "1" });
    stream.refresh();
    expect(sent).toHaveLength(2);
    expect(stream.isLevel()).toBe(true);
  });

  describe("asked what its proxy has of a version", () => {
    const acknowledge = (): unknown => stream.receive(request({ responseNonce: last().nonce }));
    const refuse = (message: string, resources: readonly string[] = []): unknown => stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message, resources } }));
    const kinds = (...versions: readonly number[]): readonly string[] => versions.map((one) => stream.standing(one).kind);
    const change = (values: Record<string, string>): void => {
      set(values);
      stream.refresh();
    };

    it("counts what was answered, and nothing before the first answer", () => {
      expect(kinds(0)).toEqual(["pending"]);
      stream.receive(request());
      expect(kinds(0, 1)).toEqual(["pending", "pending"]);
      acknowledge();
      expect(kinds(0, 1, 2)).toEqual(["acknowledged", "acknowledged", "pending"]);
    });

    it("counts the version that was sent, also when newer ones have come in the meantime and come all the time", () => {
      stream.receive(request());
      acknowledge();
      change({ a: "2" });
      change({ a: "3" });
      expect(kinds(2, 3)).toEqual(["pending", "pending"]);
      acknowledge();
      expect(kinds(2, 3)).toEqual(["acknowledged", "pending"]);
      change({ a: "4" });
      acknowledge();
      expect(kinds(3, 4)).toEqual(["acknowledged", "pending"]);
    });

    it("has at once what changes nothing of its subscriptions", () => {
      set({ a: "1" });
      stream.receive(request({ subscribe: ["a"] }));
      acknowledge();
      change({ a: "1", b: "1" });
      expect(sent).toHaveLength(1);
      expect(kinds(version)).toEqual(["acknowledged"]);
    });

    it("knows up to which version everything was taken", () => {
    expect(stream.takenVersion).toBeLessThan(0);
    stream.receive(request());
    expect(stream.takenVersion).toBeLessThan(0);
    stream.receive(request({ responseNonce: last().nonce }));
    expect(stream.takenVersion).toBe(version);
    set({ a: "1" });
    stream.refresh();
    expect(stream.takenVersion).toBe(version - 1);
    stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message: "no", resources: [] } }));
    expect(stream.takenVersion).toBeLessThan(0);
    set({ a: "2" });
    stream.refresh();
    stream.receive(request({ responseNonce: last().nonce }));
    expect(stream.takenVersion).toBe(version);
  });

  it("says of a refusal which versions it kept away, until their names have come in a better form", () => {
      set({ a: "1", b: "1" });
      stream.receive(request());
      acknowledge();
      change({ a: "bad", b: "2" });
      refuse("no such thing");
      expect(stream.standing(3)).toEqual({ kind: "refused", message: "no such thing" });
      expect(kinds(2, 4)).toEqual(["acknowledged", "pending"]);
      change({ a: "good", b: "2" });
      acknowledge();
      // The other name of the refused response has not come again.
      expect(kinds(2, 3, 4)).toEqual(["acknowledged", "refused", "acknowledged"]);
      change({ a: "good", b: "3" });
      acknowledge();
      expect(kinds(2, 3, 4, 5)).toEqual(["acknowledged", "acknowledged", "acknowledged", "acknowledged"]);
    });
  });

  describe("with more to tell than one response holds", () => {
    const half = discoveryPartBytes * 0.5;
    const valuesOf = (count: number, fill: string): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, index) => [`r${index}`, fill.repeat(half)]));
    const isLastPart = (): boolean => !isPart(sent.at(-1) ?? { systemVersion: "" });
    const acknowledge = (): unknown => stream.receive(request({ responseNonce: last().nonce }));

    it("tells it in parts, each after the answer to the one before, and is level after the last", () => {
      set(valuesOf(5, "x"));
      stream.receive(request());
      const parts: (readonly [readonly string[], boolean])[] = [[last().names, isLastPart()]];
      for (let answers = 0; !isLastPart() && answers < 10; answers++) {
        expect([stream.isLevel(), stream.standing(version).kind]).toEqual([false, "pending"]);
        acknowledge();
        parts.push([last().names, isLastPart()]);
      }
      expect(parts).toEqual([[["r0", "r1"], false], [["r2", "r3"], false], [["r4"], true]]);
      acknowledge();
      expect([stream.isLevel(), stream.standing(version).kind]).toEqual([true, "acknowledged"]);
      for (const response of sent) expect(encodeDeltaResponse(response).length).toBeLessThan(discoveryMessageBytesMax);
    });

    it("follows with what has changed behind it, and counts as told what it began with", () => {
      set(valuesOf(4, "x"));
      stream.receive(request());
      const began = version;
      set({ ...valuesOf(4, "x"), r0: "new", r3: "new" });
      stream.refresh();
      acknowledge();
      expect([last().names, isLastPart()]).toEqual([["r2", "r3"], true]);
      acknowledge();
      expect(stream.standing(began).kind).toBe("acknowledged");
      expect(stream.standing(version).kind).toBe("pending");
      expect(last().names).toEqual(["r0"]);
      acknowledge();
      expect(stream.standing(version).kind).toBe("acknowledged");
      expect(stream.isLevel()).toBe(true);
    });

    it("tells a later change of many resources in parts, too", () => {
      set(valuesOf(3, "x"));
      stream.receive(request());
      while (!isLastPart()) acknowledge();
      acknowledge();
      set(valuesOf(3, "y"));
      stream.refresh();
      expect([last().names, isLastPart()]).toEqual([["r0", "r1"], false]);
      acknowledge();
      expect([last().names, isLastPart()]).toEqual([["r2"], true]);
    });

    it("begins anew with what is asked for meanwhile, and says again nothing that it has said", () => {
      set(valuesOf(5, "x"));
      stream.receive(request());
      stream.receive(request({ subscribe: ["r0"], responseNonce: last().nonce }));
      expect([last().names, isLastPart()]).toEqual([["r0", "r2"], false]);
    });
  });

  it("ignores types it may not see", () => {
    expect(stream.receive(request({ typeUrl: "type.example/Other" }))).toEqual({ kind: "none" });
    expect(sent).toEqual([]);
  });
});
