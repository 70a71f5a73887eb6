import { expect, it } from "vitest";
import { closedRoleProblems } from "./closed-role-findings.ts";

const identity = { intermediateNotAfterMs: 1, signer: "own" } as const;

it("says what a plane does not do for want of a key, with the files to put back", () => {
  expect(closedRoleProblems("shop-eu", { identity })).toEqual([]);
  const closedRoles = (["signer", "issuing", "signing"] as const).map((role) => ({ role, reason: `put ${role}.key back` }));
  expect(closedRoleProblems("shop-eu", { identity: { ...identity, closedRoles } })).toEqual([
    "the plane of shop-eu certifies no cluster of its trust domain and approves no relationship, and does everything else: put signer.key back",
    "the plane of shop-eu issues no SVIDs, so that those of its proxies end, and does everything else: put issuing.key back",
    "the plane of shop-eu publishes nothing, so that the others go by what it said before, and does everything else: put signing.key back",
  ]);
});
