import { test } from "vitest";
import { fuzzSessions } from "./sessions.fuzz.ts";

test("sessions of both sides survive whatever frames their peer makes up", () => {
  fuzzSessions(1_500);
});
