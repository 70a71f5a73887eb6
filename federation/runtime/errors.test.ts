import { describe, expect, it } from "vitest";
import { AtollError, describeError } from "./errors.ts";

describe("an error in one line", () => {
  it("is its message and those of its causes", () => {
    expect(describeError(new Error("it does not start", { cause: new Error("no such file", { cause: "ENOENT" }) }))).toBe("it does not start: no such file: 'ENOENT'");
    expect(describeError(new Error("", { cause: new Error("") }))).toBe("unknown error");
    expect(describeError(undefined)).toBe("unknown error");
  });

  it("says once what a message has of its cause already", () => {
    const cause = new Error("connect ECONNREFUSED 127.0.0.1:9");
    const outer = new AtollError("ATOLL_ADMIN_UNAVAILABLE", `the admin API at localhost:9 cannot be reached: ${cause.message}`, { cause });
    expect(describeError(outer)).toBe("the admin API at localhost:9 cannot be reached: connect ECONNREFUSED 127.0.0.1:9");
  });
});
