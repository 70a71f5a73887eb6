import { Duplex } from "node:stream";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { RawWatchResponse, WatchStream } from "./etcd-client.ts";
import { readWatchStream, watchUpMsMax } from "./etcd-watch.ts";

const answer = { header: { cluster_id: "1", revision: "7" }, created: false, canceled: false, compact_revision: "0", cancel_reason: "", fragment: false, events: [] };

/** A stream whose answers the test gives, and that breaks as gRPC's does when it is cancelled. */
class TestStream extends Duplex {
  constructor() {
    super({ objectMode: true, read: () => undefined, write: (_chunk, _encoding, done) => done() });
  }

  give(response: Partial<RawWatchResponse>): void {
    this.push({ ...answer, ...response });
  }

  cancel(): void {
    this.destroy(new Error("1 CANCELLED"));
  }
}

function watched() {
  const [clock, stream] = [new VirtualClock(), new TestStream()];
  const seen = { ups: 0 };
  const request = { prefix: Buffer.from("a"), rangeEnd: Buffer.from("b"), startRevision: 8, clock, onUp: () => seen.ups++ };
  const batches = readWatchStream(stream as unknown as WatchStream, request, new AbortController().signal);
  return { clock, stream, seen, batches, next: batches.next() };
}

describe("a watch of etcd", () => {
  it("is given up when etcd does not set it up in time, to be asked for elsewhere", async () => {
    const { clock, seen, next } = watched();
    await clock.advance(watchUpMsMax);
    expect(await next).toEqual({ done: true, value: { kind: "resume", reason: `etcd has not set the watch up within ${watchUpMsMax} ms` } });
    expect(seen.ups).toBe(0);
  });

  it("is up once etcd says so, and then as quiet as it likes", async () => {
    const { clock, stream, seen, next, batches } = watched();
    stream.give({ created: true });
    await clock.advance(watchUpMsMax * 10);
    expect(seen.ups).toBe(1);
    stream.give({ header: { cluster_id: "1", revision: "9" } });
    expect(await next).toEqual({ done: false, value: { events: [], revision: 9 } });
    await batches.return({ kind: "resume", reason: "" });
  });

  it("is never up where etcd refuses it, or is behind what was read of it", async () => {
    const refused = watched();
    refused.stream.give({ created: true, canceled: true, cancel_reason: "permission denied" });
    expect(await refused.next).toEqual({ done: true, value: { kind: "relist", reason: "permission denied" } });
    const behind = watched();
    behind.stream.give({ created: true, header: { cluster_id: "1", revision: "3" } });
    expect(await behind.next).toEqual({ done: true, value: { kind: "relist", reason: "etcd is at revision 3, before 7" } });
    expect([refused.seen.ups, behind.seen.ups]).toEqual([0, 0]);
  });
});
