import { expect, it } from "vitest";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { ObjectStanding } from "#federation/replication/core/publisher.ts";
import { doneOf, notAsDone } from "./done-and-held.ts";

const at = (revision: number) => ({ epoch: 1, revision });
const object = (key: string, revision: number, tombstone = false): OpenedObject => ({
  signed: { payload: new Uint8Array(), signature: new Uint8Array(), chain: [] },
  payload: { federation: "demo.atoll", origin: "global", originTrustDomain: "demo.atoll", kind: "TrafficPolicy", key, generation: at(revision), audience: ["*"], tombstone, value: new Uint8Array() },
});
const published = (...objects: readonly OpenedObject[]) => new Map(objects.map((one) => [objectId(one.payload), one]));
const acknowledged = (revision: number | undefined, more: Partial<ObjectStanding> = {}): ObjectStanding => ({ generation: revision === undefined ? undefined : at(revision), isWithdrawn: false, isAcknowledged: true, ...more });

const id = "global/TrafficPolicy/web/p0";
const held = (revision: number) => new Map([[id, at(revision)]]);
const nothing = new Map();

it("what is acknowledged has to be held, at its generation or a later one", () => {
  const done = doneOf({ published: published(object("web/p0", 5)), standing: () => acknowledged(5) });
  expect(notAsDone(done, held(5), done)).toEqual([]);
  expect(notAsDone(done, held(6), done)).toEqual([]);
  expect(notAsDone(done, held(4), done)).toEqual([`${id} in its present form`]);
  expect(notAsDone(done, nothing, done)).toEqual([`${id} in its present form`]);
});

it("what is acknowledged to be deleted or withdrawn has to be gone", () => {
  const deleted = doneOf({ published: published(object("web/p0", 5, true)), standing: () => acknowledged(5) });
  const withdrawn = doneOf({ published: published(object("web/p0", 5)), standing: () => acknowledged(undefined, { isWithdrawn: true }) });
  for (const done of [deleted, withdrawn]) {
    expect(notAsDone(done, nothing, done)).toEqual([]);
    expect(notAsDone(done, held(4), done)).toEqual([`${id} to be gone`]);
  }
});

it("nothing is said of what is under way, refused, or was never offered", () => {
  const standings: readonly ObjectStanding[] = [acknowledged(4), acknowledged(5, { refusal: "audience" }), acknowledged(undefined), { ...acknowledged(5), isAcknowledged: false }];
  for (const standing of standings) expect(doneOf({ published: published(object("web/p0", 5)), standing: () => standing })).toEqual(nothing);
});

it("nothing is said of what has changed while the receiver's store was read", () => {
  const [before, later, gone] = [
    doneOf({ published: published(object("web/p0", 5)), standing: () => acknowledged(5) }),
    doneOf({ published: published(object("web/p0", 6)), standing: () => acknowledged(6) }),
    doneOf({ published: published(object("web/p0", 6, true)), standing: () => acknowledged(6) }),
  ];
  for (const after of [later, gone, nothing]) expect(notAsDone(before, nothing, after)).toEqual([]);
});
