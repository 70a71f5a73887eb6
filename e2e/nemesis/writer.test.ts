import { expect, it } from "vitest";
import { AdminApiError, createProblem } from "#federation/admin-api/problem.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { outcomeOf } from "./writer.ts";

it("nothing comes of a write that was refused, or that nobody took", () => {
  expect(outcomeOf(new AdminApiError(createProblem("ATOLL_STORE_BEHIND", 409, "the store is behind")))).toBe("failed");
  const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" });
  expect(outcomeOf(new AtollError("ATOLL_ADMIN_UNAVAILABLE", "nobody is there", { cause: refused }))).toBe("failed");
});

it("a write that broke off, was given up, or failed at the server may have happened", () => {
  expect(outcomeOf(new AdminApiError(createProblem("ATOLL_STORE_UNAVAILABLE", 503, "no answer")))).toBe("unknown");
  expect(outcomeOf(new AtollError("ATOLL_ADMIN_UNAVAILABLE", "the answer broke off", { cause: Object.assign(new Error("reset"), { code: "ECONNRESET" }) }))).toBe("unknown");
});
