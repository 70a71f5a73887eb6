import { beforeEach, describe, expect, it } from "vitest";
import type { DeltaRequest, DeltaResponse } from "#federation/wire/discovery-messages.ts";
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
  const set = (values: Record<string, string>): void => {
    table = nextTable(typeUrl, table, new Map(Object.entries(values)), (value) => Buffer.from(value));
  };
  const last = (): { names: string[]; removed: readonly string[]; nonce: string } => {
    const response = sent.at(-1);
    return { names: response?.resources.map((resource) => resource.name) ?? [], removed: response?.removed ?? [], nonce: response?.nonce ?? "" };
  };

  beforeEach(() => {
    table = emptyTable;
    sent = [];
    stream = new DeltaStream(
      (type) => (type === typeUrl ? table : undefined),
      (response) => sent.push(response),
    );
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
    expect(stream.receive(request({ responseNonce: last().nonce, fault: { code: 3, message: "no" } }))).toEqual({ kind: "nack", typeUrl, message: "no" });
    expect(sent).toHaveLength(1);
    set({ a: "good" });
    stream.refresh();
    expect(last().names).toEqual(["a"]);
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

  it("ignores types it may not see", () => {
    expect(stream.receive(request({ typeUrl: "type.example/Other" }))).toEqual({ kind: "none" });
    expect(sent).toEqual([]);
  });
});
