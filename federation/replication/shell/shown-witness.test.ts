import { expect, it } from "vitest";
import { digestsBytes, type Heartbeat } from "#federation/model/replication-messages.ts";
import { encodeHeartbeat } from "#federation/wire/frames.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { ShownWitness } from "./shown-witness.ts";

const origins = new TestOrigins();
const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };
const present = { epoch: 2, revision: 50 };

function heartbeat(rest: Partial<Heartbeat> = {}, signer = "shop-eu"): Uint8Array {
  const said = { ...names, publisherTrustDomain: "shop-eu.example", epoch: 2, term: 1, stream: "s", seq: 1, beat: 1, revision: 51, sentAtMs: 1 };
  return encodeHeartbeat({ ...said, digests: new Uint8Array(digestsBytes), nonce: new Uint8Array(16), ...rest }, origins.signer(signer));
}

function shownWitness(): { readonly shown: ShownWitness; readonly refused: string[] } {
  const refused: string[] = [];
  const shown = new ShownWitness({ names, publisherTrustDomain: "shop-eu.example", verifyChain: origins.verifyChain, onRefused: ({ code }) => refused.push(code) });
  return { shown, refused };
}

it.each<[string, Uint8Array, { readonly epoch: number; readonly revision: number }]>([
  ["of a higher position", heartbeat(), { epoch: 2, revision: 51 }],
  ["of a higher epoch", heartbeat({ epoch: 3, revision: 1 }), { epoch: 3, revision: 1 }],
])("believes a heartbeat of its own %s, for as long as it is above the present one", (_title, bytes, position) => {
  const { shown, refused } = shownWitness();
  expect(shown.judge(bytes, present)).toEqual(position);
  expect(shown.judge(new Uint8Array(bytes), present)).toEqual(position);
  expect(shown.judge(bytes, position)).toBeUndefined();
  expect(refused).toEqual([]);
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
  expect(shown.judge(bytes, present)).toBeUndefined();
  expect(shown.judge(bytes, present)).toBeUndefined();
  expect(refused).toEqual([code]);
});
