import { expect, it } from "vitest";
import { apiOverloadProblems } from "./api-overload-findings.ts";

it("a plane that refuses what it cannot do is named with how much that is, and with the command that shows who asks", () => {
  expect(apiOverloadProblems("global", {})).toEqual([]);
  expect(apiOverloadProblems("global", { apiOverloads: [{ requests: "writes", admits: 30, asked: 90 }] })).toEqual([
    "the plane of global takes 30 of 90 writes a second and refuses the others, whose callers may ask again; `atoll audit` shows who writes; give it, or its store, more of a processor if they are all meant",
  ]);
  expect(apiOverloadProblems("shop-eu", { apiOverloads: [{ requests: "reads", admits: 3, asked: 4 }, { requests: "writes", admits: 1, asked: 2 }] })).toEqual([
    "the plane of shop-eu takes 3 of 4 reads a second and refuses the others, whose callers may ask again; give it, or its store, more of a processor if they are all meant",
    "the plane of shop-eu takes 1 of 2 writes a second and refuses the others, whose callers may ask again; `atoll audit --cluster shop-eu` shows who writes; give it, or its store, more of a processor if they are all meant",
  ]);
});
