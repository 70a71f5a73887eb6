import { describe, expect, it } from "vitest";
import { openObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { objectId } from "#federation/model/replicated-object.ts";
import type { ObjectPayload, OpenedObject } from "#federation/model/replicated-object.ts";
import type { Frame } from "#federation/model/replication-messages.ts";
import { MemoryReplicaStore } from "../shell/memory-replica-store.ts";
import { PublisherCore } from "./publisher.ts";
import { ReceiverCore } from "./receiver.ts";
import type { ReceiverStep } from "./receiver.ts";
import { emptyReplicaState, type ReplicaState } from "./replica-state.ts";

// Each line is one step and what comes of it. `put a@3` writes key a at revision 3 and flushes, `delete a@4` puts the
// signed tombstone in its place, `drop a` takes it out of the offer, `frame 2` delivers the second frame ever sent.
// `put a@3 anew` says something else at revision 3. `restore to 2` puts an older store under the running publisher, `rollback to 2` under
// one that starts then, and `decide` begins a new epoch, as an operator does. `reload` restarts the receiver from what it has made durable.
const scenarios: Readonly<Record<string, string>> = {
  "a new receiver asks for everything, then follows": `
    put a@1         => frame 1: a@1
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1; seq 1
    heartbeat       => equal
    put b@2         => frame 2: b@2
    frame 2         => put b@2; seq 2
    heartbeat       => equal`,
  "frames that come twice or out of order are applied once and in order": `
    heartbeat       => ignored, fetch in 0 ms
    fetch           => seq 0
    put a@1         => frame 1: a@1
    put a@2         => frame 2: a@2
    put b@3         => frame 3: b@3
    frame 3         => nothing, fetch in 200 ms
    frame 2         => nothing, fetch in 200 ms
    frame 1         => put a@1, put a@2, put b@3; seq 3
    frame 2         => nothing
    heartbeat       => equal`,
  "a lost frame is fetched after a grace, a late one is then old news": `
    heartbeat       => ignored, fetch in 0 ms
    fetch           => seq 0
    put a@1         => frame 1: a@1
    put b@2         => frame 2: b@2
    frame 2         => nothing, fetch in 200 ms
    wait 200        => fetch in 0 ms
    fetch           => put a@1, put b@2; seq 2
    frame 1         => nothing
    heartbeat       => equal`,
  "the last frame is missed too, by the heartbeat": `
    heartbeat       => ignored, fetch in 0 ms
    fetch           => seq 0
    put a@1         => frame 1: a@1
    heartbeat       => ahead, fetch in 200 ms
    frame 1         => put a@1; seq 1
    heartbeat       => equal`,
  "a deletion that was lost is not undone by the late frame of the write": `
    heartbeat       => ignored, fetch in 0 ms
    fetch           => seq 0
    put a@1         => frame 1: a@1
    delete a@2      => frame 2: !a@2
    heartbeat       => ahead, fetch in 200 ms
    wait 200        => fetch in 0 ms
    fetch           => seq 2
    frame 1         => nothing
    heartbeat       => equal`,
  "what is withdrawn goes, and may come back as it was": `
    put a@1         => frame 1: a@1
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1; seq 1
    drop a          => frame 2: -a
    frame 2         => remove a withdrawn; seq 2
    heartbeat       => equal
    put a@1         => frame 3: a@1
    frame 3         => seq 3
    heartbeat       => differs, fetch in 200 ms
    fetch           => put a@1; seq 3
    heartbeat       => equal`,
  "a publisher that restarts is compared with, not sent again": `
    put a@1         => frame 1: a@1
    put b@2         => frame 2: b@2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1, put b@2; seq 2
    restart without b => term 2
    heartbeat       => ignored
    wait 1500       => nothing
    heartbeat       => ignored, fetch in 0 ms
    wait 200        => fetch in 0 ms
    fetch           => remove b swept; seq 0
    heartbeat       => equal
    frame 2         => nothing`,
  "a publisher that was rolled back is believed nothing": `
    put a@1         => frame 1: a@1
    put b@2         => frame 2: b@2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1, put b@2; seq 2
    rollback to 1   => term 2
    heartbeat       => ignored
    wait 1500       => nothing
    heartbeat       => ignored, fetch in 0 ms
    wait 200        => fetch in 0 ms
    fetch           => needs reconcile, fetch in 200 ms
    fetch           => needs reconcile, fetch in 400 ms`,
  "other content at the same generation is seen, and taken out of an answer": `
    put a@1         => frame 1: a@1
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1; seq 1
    heartbeat       => equal
    restore to 0    => frame 2: -a
    put a@1 anew    => frame 3: a@1
    frame 3         => nothing, fetch in 200 ms
    heartbeat       => ahead, fetch in 200 ms
    wait 200        => fetch in 0 ms
    fetch           => put a@1; seq 3
    heartbeat       => equal
    put a@1         => frame 4: a@1
    frame 4         => seq 4, fetch in 200 ms
    fetch           => put a@1; seq 4
    heartbeat       => equal`,
  "a store that is restored under its publisher has nothing applied any more, however far it comes, until somebody decides": `
    put a@1         => frame 1: a@1
    put b@2         => frame 2: b@2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1, put b@2; seq 2
    heartbeat       => equal
    restore to 1    => frame 3: -b
    frame 3         => needs reconcile, fetch in 200 ms
    heartbeat       => behind
    put c@2         => frame 4: c@2
    frame 4         => needs reconcile
    put a@9         => frame 5: a@9
    frame 5         => needs reconcile
    heartbeat       => behind
    reload          => needs reconcile
    heartbeat       => behind
    restart without b => term 2
    heartbeat       => ignored
    decide          => epoch 2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@9, put c@2, remove b swept; seq 0
    heartbeat       => equal
    put d@12        => frame 1: d@12
    frame 6         => put d@12; seq 1
    heartbeat       => equal`,
  "so has one that its publisher finds rolled back at a start, at its second heartbeat": `
    put a@1         => frame 1: a@1
    put b@2         => frame 2: b@2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1, put b@2; seq 2
    heartbeat       => equal
    rollback to 1   => term 2
    heartbeat       => ignored
    wait 1500       => nothing
    heartbeat       => ignored, fetch in 0 ms
    heartbeat       => ignored
    put c@2         => frame 1: c@2
    put c@9         => frame 2: c@9
    heartbeat       => ignored
    reload          => needs reconcile
    heartbeat       => ignored
    decide          => epoch 2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1, put c@9, remove b swept; seq 0
    heartbeat       => equal`,
  "a successor that has merely not read as far as its predecessor is waited for": `
    put a@1         => frame 1: a@1
    put b@2         => frame 2: b@2
    heartbeat       => ignored, fetch in 0 ms
    fetch           => put a@1, put b@2; seq 2
    heartbeat       => equal
    rollback to 1   => term 2
    heartbeat       => ignored
    wait 1500       => nothing
    heartbeat       => ignored, fetch in 0 ms
    wait 200        => fetch in 0 ms
    fetch           => needs reconcile, fetch in 200 ms
    put b@2         => frame 1: b@2
    heartbeat       => ignored, fetch in 200 ms
    wait 200        => fetch in 0 ms
    fetch           => seq 1
    heartbeat       => equal`,
};

class World {
  readonly #origins = new TestOrigins();
  readonly #names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };
  #objects = new Map<string, OpenedObject>();
  #revision = 0;
  #epoch = 1;
  #term = 1;
  #nowMs = 0;
  #beat = 0;
  readonly #frames: Frame[] = [];
  #publisher: PublisherCore;
  #receiver: ReceiverCore;
  readonly #disk = new MemoryReplicaStore();

  constructor() {
    this.#publisher = this.#startPublisher();
    this.#receiver = this.#startReceiver(emptyReplicaState);
  }

  step(text: string): string {
    const [verb = "", subject = "", ...rest] = text.split(" ");
    switch (verb) {
      case "put":
      case "delete":
        return this.#write(subject, { tombstone: verb === "delete", ...(rest[0] === "anew" ? { value: Uint8Array.of(1) } : {}) });
      case "drop":
        this.#objects.delete(this.#id(subject));
        return this.#publish();
      case "frame": {
        const frame = this.#frames[Number(subject) - 1];
        if (frame === undefined) throw new Error(`no frame ${subject}`);
        return this.#shown(this.#receiver.onFrame(frame, this.#nowMs));
      }
      case "heartbeat":
        return [this.#heartbeat(), ...this.#fetchNote()].join(", ");
      case "wait":
        this.#nowMs += Number(subject);
        return this.#fetchNote()[0] ?? "nothing";
      case "fetch":
        return this.#shown(this.#receiver.onAnswer([this.#publisher.answer(this.#receiver.fetch(this.#nowMs), this.#nowMs)], this.#nowMs));
      case "reload": {
        this.#receiver = this.#startReceiver(this.#disk.state());
        return this.#receiver.needsReconcile ? "needs reconcile" : "sound";
      }
      case "restore":
        this.#rollBack(Number(rest[0]));
        return this.#publish();
      case "decide":
        this.#epoch++;
        this.#objects = new Map([...this.#objects].map(([id, { payload }]) => [id, this.#object(payload.key, payload.generation.revision, { tombstone: payload.tombstone, value: payload.value })]));
        this.#restart();
        return `epoch ${this.#epoch}`;
      case "restart":
        this.#objects.delete(this.#id(rest[0] ?? ""));
        return this.#restart();
      case "rollback":
        this.#rollBack(Number(rest[0]));
        return this.#restart();
      default:
        throw new Error(`unknown step ${text}`);
    }
  }

  #id(key: string): string {
    return objectId({ origin: "shop-eu", kind: "Note", key });
  }

  #object(key: string, revision: number, rest: Partial<ObjectPayload>): OpenedObject {
    return this.#origins.object("shop-eu", key, revision, { generation: { epoch: this.#epoch, revision }, ...rest });
  }

  #rollBack(revision: number): void {
    this.#revision = revision;
    this.#objects = new Map([...this.#objects].filter(([, { payload }]) => payload.generation.revision <= revision));
  }

  #write(subject: string, rest: Partial<ObjectPayload>): string {
    const [key = "", revision = ""] = subject.split("@");
    this.#revision = Math.max(this.#revision, Number(revision));
    this.#objects.set(this.#id(key), this.#object(key, Number(revision), rest));
    return this.#publish();
  }

  #publish(): string {
    this.#publisher.update({ revision: this.#revision, objects: new Map(this.#objects) });
    const frames = this.#publisher.flush(this.#nowMs);
    this.#frames.push(...frames);
    return frames
      .map(({ seq, entries, withdrawn }) => {
        const written = entries.map((signed) => openObject(signed).payload).map(({ key, tombstone, generation }) => `${tombstone ? "!" : ""}${key}@${generation.revision}`);
        return `frame ${seq}: ${[...written, ...withdrawn.map((id) => `-${id.split("/").at(-1)}`)].join(" ")}`;
      })
      .join("; ");
  }

  #restart(): string {
    this.#term++;
    this.#publisher = this.#startPublisher();
    return `term ${this.#term}`;
  }

  #startPublisher(): PublisherCore {
    const start = { epoch: this.#epoch, term: this.#term, stream: `s${this.#term}` };
    return new PublisherCore(this.#names, start, { revision: this.#revision, objects: new Map(this.#objects) }, this.#nowMs);
  }

  #startReceiver(state: ReplicaState): ReceiverCore {
    return new ReceiverCore({ names: this.#names, origins: "publisher", open: openObject, isAuthentic: () => true }, state);
  }

  #heartbeat(): string {
    const fields = { publisherTrustDomain: "shop-eu.example", nonce: new Uint8Array(0), sentAtMs: this.#nowMs, beat: ++this.#beat };
    const heard = { nowMs: this.#nowMs, wallMs: this.#nowMs, encoded: new Uint8Array(0) };
    const outcome = this.#receiver.onHeartbeat({ ...this.#names, ...this.#publisher.position, ...this.#publisher.summary(), ...fields }, heard);
    void this.#disk.commit([], this.#receiver.cursor);
    return outcome;
  }

  #shown({ changes, cursor }: ReceiverStep): string {
    void this.#disk.commit(changes, cursor ?? this.#receiver.cursor);
    const lines = changes.map((change) => {
      const key = change.id.split("/").at(-1) ?? "";
      return change.kind === "put" ? `put ${key}@${change.object.payload.generation.revision}` : `remove ${key} ${change.reason}`;
    });
    const seq = cursor === undefined ? "" : `seq ${cursor.seq}`;
    const outcome = [lines.join(", "), seq].filter((part) => part !== "").join("; ");
    const state = this.#receiver.needsReconcile ? "needs reconcile" : outcome === "" ? "nothing" : outcome;
    return [state, ...this.#fetchNote()].join(", ");
  }

  #fetchNote(): readonly string[] {
    const delayMs = this.#receiver.fetchDelayMs(this.#nowMs);
    return delayMs === undefined ? [] : [`fetch in ${delayMs} ms`];
  }
}

describe("replication", () => {
  it.each(Object.entries(scenarios))("%s", (_name, text) => {
    const world = new World();
    const steps = text.trim().split("\n").map((line) => line.split("=>").map((part) => part.trim()));
    const shown = steps.map(([step = ""]) => `${step} => ${world.step(step)}`);
    expect(shown).toEqual(steps.map(([step, outcome]) => `${step} => ${outcome}`));
  });
});
