import { expect, it } from "vitest";
import { digestsBytes, type Heartbeat } from "#federation/model/replication-messages.ts";
import { encodeHeartbeat } from "#federation/wire/frames.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { ShownWitness } from "./shown-witness.ts";

const origins = new TestOrigins();
const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };

function heartbeat(rest: Partial<Heartbeat> = {}, signer = "shop-eu"): Uint8Array {
  const said = { ...names, publisherTrustDomain: "shop-eu.example", epoch: 2, term: 1, stream: "s", seq: 1, beat: 1, revision: 51, sentAtMs: 1 };
  return encodeHeartbeat({ ...said, digests: new Uint8Array(digestsBytes), nonce: new Uint8Array(16), ...rest }, origins.signer(signer));
}

function shownWitness(): { readonly shown: ShownWitness; readonly refused: string[]; readonly at: { revision: number } } {
  const refused: string[] = [];
  const at = { revision: 50 };
  const self = { epoch: 2, incarnation: "present", opened: 40, revision: () => at.revision };
  const shown = new ShownWitness({ names, publisherTrustDomain: "shop-eu.example", verifyChain: origins.verifyChain, onRefused: ({ code }) => refused.push(code), self });
  return { shown, refused, at };
}

it.each<[string, Uint8Array, { readonly epoch: number; readonly revision: number }]>([
  ["of a higher position", heartbeat(), { epoch: 2, revision: 51 }],
  ["of a higher epoch", heartbeat({ epoch: 3, revision: 1 }), { epoch: 3, revision: 1 }],
])("believes a heartbeat of its own %s, for as long as it is above the present one", (_title, bytes, position) => {
  const { shown, refused, at } = shownWitness();
  expect(shown.judge(bytes)).toMatchObject({ witnessed: position, witness: "global" });
  expect(shown.judge(new Uint8Array(bytes))?.witnessed).toEqual(position);
  if (position.epoch === 2) {
    at.revision = 51;
    expect(shown.judge(bytes)).toBeUndefined();
  }
  expect(refused).toEqual([]);
});

it("believes one of another of its lives whose writes were not there when it took up its store, however far it has come since", () => {
  const { shown, refused, at } = shownWitness();
  const bytes = heartbeat({ revision: 45, incarnation: "before", opened: 10, written: 41 });
  at.revision = 90;
  const behind = shown.judge(bytes);
  expect(behind).toMatchObject({ witnessed: { epoch: 2, revision: 41 }, witness: "global" });
  expect(behind?.present()).toEqual({ epoch: 2, revision: 40 });
  expect(refused).toEqual([]);
});

it.each<[string, Partial<Heartbeat>]>([
  ["its own present life", { incarnation: "present", opened: 40, written: 48 }],
  ["a life before it, whose writes it has found", { incarnation: "before", opened: 10, written: 40 }],
  ["an earlier epoch, of which a decision has made an end", { epoch: 1, incarnation: "before", opened: 10, written: 900 }],
  ["a life that says nothing of its writes", { incarnation: "before" }],
])("takes no offence at one of %s", (_title, said) => {
  const { shown } = shownWitness();
  expect(shown.judge(heartbeat({ revision: 45, ...said }))).toBeUndefined();
});

it.each<[string, Uint8Array, string]>([
  ["that somebody else signed", heartbeat({}, "pay-eu"), "ATOLL_SIGNATURE_INVALID"],
  ["of another publisher", heartbeat({ publisher: "pay-eu", publisherTrustDomain: "pay-eu.example" }, "pay-eu"), "ATOLL_SIGNATURE_INVALID"],
  ["to another receiver", heartbeat({ audience: "pay-eu" }), "ATOLL_SIGNATURE_INVALID"],
  ["of no higher position", heartbeat({ revision: 50 }), "ATOLL_SIGNATURE_INVALID"],
  ["of an earlier epoch", heartbeat({ epoch: 1, revision: 900 }), "ATOLL_SIGNATURE_INVALID"],
  ["of an older version, without a position", heartbeat({ revision: undefined }), "ATOLL_SIGNATURE_INVALID"],
  ["that is none", Uint8Array.of(255), "ATOLL_WIRE_INVALID"],
])("refuses one %s, and says so once", (_title, bytes, code) => {
  const { shown, refused } = shownWitness();
  expect(shown.judge(bytes)).toBeUndefined();
  expect(shown.judge(bytes)).toBeUndefined();
  expect(refused).toEqual([code]);
});
