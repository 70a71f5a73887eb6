import { expect, it } from "vitest";
import { peerSpiffeId } from "./peer.ts";

const id = "spiffe://demo.atoll/atoll/admin/local";

it.each([
  [`URI:${id}`, id],
  [`DNS:localhost, IP Address:127.0.0.1, URI:${id}`, id],
  [undefined, undefined],
  ["", undefined],
  ["DNS:localhost", undefined],
  [`URI:${id}, URI:${id}`, undefined],
  ["URI:https://demo.atoll/x", undefined],
  ["URI:spiffe://demo.atoll/a/../b", undefined],
  // A name that holds ", " is quoted by Node, so that it cannot pass for two.
  [`DNS:"x, URI:${id}"`, undefined],
])("of the names %s the identity is %s", (names, expected) => {
  expect(peerSpiffeId(names)).toBe(expected);
});
